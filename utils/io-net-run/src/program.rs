//! The program to run: where it is, and whether a shim can get into it.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::Outcome;

/// Scripts whose interpreters are scripts: as many as the kernel follows.
const SCRIPTS_MAX: usize = 4;

/// An executable that the dynamic loader loads.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// The file.
    pub(crate) file: PathBuf,
    /// Its dynamic loader.
    pub(crate) loader: PathBuf,
}

/// Finds a program as the shell does.
pub(crate) fn find(program: &OsStr) -> Outcome<PathBuf> {
    if program.as_bytes().contains(&b'/') {
        return Ok(program.into());
    }
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
    let executable = |file: &PathBuf| {
        file.metadata()
            .is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
    };
    let found = std::env::split_paths(&path)
        .map(|dir| dir.join(program))
        .find(executable);
    found.ok_or_else(|| format!("{}: not found in PATH", program.to_string_lossy()))
}

/// The executable that the kernel loads for `program`, scripts followed.
pub(crate) fn loaded(program: &Path) -> Outcome<Loaded> {
    let mut file = program.to_path_buf();
    for _ in 0..=SCRIPTS_MAX {
        check_not_setuid(&file)?;
        let head = read_head(&file)?;
        match interpreter_of_script(&head) {
            Some(interpreter) => file = interpreter,
            None => {
                let loader = loader_of(&file, &head)?;
                return Ok(Loaded { file, loader });
            }
        }
    }
    Err(format!(
        "{}: its interpreter is a script of a script of a script",
        program.display()
    ))
}

fn read_head(file: &Path) -> Outcome<Vec<u8>> {
    let mut head = Vec::new();
    let read = File::open(file).and_then(|f| f.take(16 * 1024).read_to_end(&mut head));
    read.map_err(|e| format!("cannot read {}: {e}", file.display()))?;
    Ok(head)
}

fn check_not_setuid(file: &Path) -> Outcome<()> {
    let meta = file
        .metadata()
        .map_err(|e| format!("cannot run {}: {e}", file.display()))?;
    let own = Path::new("/proc/self")
        .metadata()
        .map_or(u32::MAX, |own| own.uid());
    if meta.mode() & 0o2000 != 0 || (meta.mode() & 0o4000 != 0 && meta.uid() != own) {
        return Err(format!(
            "{} is setuid or setgid, so the loader ignores LD_PRELOAD; run a copy of it without those \
             bits (cp does not keep them), as the user that it needs",
            file.display()
        ));
    }
    Ok(())
}

/// The interpreter that a script's first line names.
fn interpreter_of_script(head: &[u8]) -> Option<PathBuf> {
    let line = head.strip_prefix(b"#!")?.split(|&b| b == b'\n').next()?;
    let blank = |b: &u8| matches!(b, b' ' | b'\t');
    let word = line.split(blank).find(|word| !word.is_empty())?;
    Some(OsString::from_vec(word.to_vec()).into())
}

/// What the kernel needs of an ELF header: where its program headers are.
struct Elf<'h> {
    head: &'h [u8],
}

impl Elf<'_> {
    const INTERPRETER: u32 = 3;

    fn u16(&self, at: usize) -> Option<u16> {
        Some(u16::from_ne_bytes(
            self.head.get(at..at + 2)?.try_into().ok()?,
        ))
    }

    fn u32(&self, at: usize) -> Option<u32> {
        Some(u32::from_ne_bytes(
            self.head.get(at..at.checked_add(4)?)?.try_into().ok()?,
        ))
    }

    fn usize(&self, at: usize) -> Option<usize> {
        let bytes = self.head.get(at..at.checked_add(8)?)?;
        u64::from_ne_bytes(bytes.try_into().ok()?).try_into().ok()
    }

    /// The path in its PT_INTERP; None if it has none.
    fn interpreter(&self) -> Option<PathBuf> {
        let (table, size, count) = (self.usize(32)?, self.u16(54)?, self.u16(56)?);
        for i in 0..usize::from(count) {
            let at = table.checked_add(i * usize::from(size))?;
            if self.u32(at)? == Self::INTERPRETER {
                let (from, len) = (self.usize(at + 8)?, self.usize(at + 32)?);
                let path = self.head.get(from..from.checked_add(len)?)?;
                return Some(OsStr::from_bytes(path.strip_suffix(b"\0")?).into());
            }
        }
        None
    }
}

fn loader_of(file: &Path, head: &[u8]) -> Outcome<PathBuf> {
    let elf = Elf { head };
    if !head.starts_with(b"\x7fELF") {
        return Err(format!(
            "{} is neither a script nor an ELF executable",
            file.display()
        ));
    }
    let own = read_head(Path::new("/proc/self/exe"))?;
    let machine = (head.get(4..6), elf.u16(18));
    if machine != (own.get(4..6), Elf { head: &own }.u16(18)) {
        return Err(format!(
            "{} is for another kind of processor than io-net's shim; only programs of the same can be served",
            file.display()
        ));
    }
    elf.interpreter().ok_or_else(|| {
        format!(
            "{} is statically linked, so no library can be loaded into it; use a dynamically linked \
             build of it (Go programs: CGO_ENABLED=1 and the \"net\" package by cgo do not help, as \
             Go makes its own system calls)",
            file.display()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_test_is_loaded_by_a_loader_and_so_is_a_script_for_it() {
        let own = std::env::current_exe().unwrap();
        let direct = loaded(&own).unwrap();
        assert!(direct.loader.is_absolute());
        let script = std::env::temp_dir().join(format!("io-net-run-test-{}", std::process::id()));
        std::fs::write(&script, format!("#! {} -x\nbody", own.display())).unwrap();
        let through = loaded(&script);
        std::fs::write(&script, "just text").unwrap();
        let text = loaded(&script);
        std::fs::write(&script, format!("#!{}\n", script.display())).unwrap();
        let circle = loaded(&script);
        std::fs::remove_file(&script).unwrap();
        assert_eq!(through.unwrap().file, own);
        assert!(text.unwrap_err().contains("neither"));
        assert!(circle.unwrap_err().contains("script of a script"));
    }

    #[test]
    fn truncated_and_odd_headers_are_refused() {
        let own = read_head(&std::env::current_exe().unwrap()).unwrap();
        for len in [4, 20, 40, 60, 100] {
            assert!(loader_of(Path::new("x"), &own[..len]).is_err(), "{len}");
        }
        let mut odd = own.clone();
        odd[32..40].copy_from_slice(&u64::MAX.to_ne_bytes());
        assert!(
            loader_of(Path::new("x"), &odd)
                .unwrap_err()
                .contains("static")
        );
        let mut other = own;
        other[18] ^= 1;
        assert!(
            loader_of(Path::new("x"), &other)
                .unwrap_err()
                .contains("processor")
        );
    }

    #[test]
    fn programs_are_found_in_path() {
        assert!(find(OsStr::new("sh")).unwrap().is_absolute());
        assert!(find(OsStr::new("no such program")).is_err());
        assert_eq!(find(OsStr::new("./x")).unwrap(), Path::new("./x"));
    }
}
