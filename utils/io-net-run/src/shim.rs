//! The shim: where it is, and whether the loader takes it.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Outcome;
use crate::program::Loaded;

/// The shim's file name.
const NAME: &str = "libio_net_preload.so";

/// Finds the shim: the one given, else the one installed with this program, else the one built with
/// it.
pub(crate) fn find(given: Option<&Path>) -> Outcome<PathBuf> {
    let own =
        std::env::current_exe().map_err(|e| format!("cannot tell where io-net-run is: {e}"))?;
    let dir = own.parent().unwrap_or(Path::new("/"));
    let places = match given {
        Some(given) => vec![given.to_path_buf()],
        None => vec![dir.join("../lib/io-net").join(NAME), dir.join(NAME)],
    };
    let Some(found) = places.iter().find_map(|place| place.canonicalize().ok()) else {
        let tried: Vec<_> = places
            .iter()
            .map(|place| place.display().to_string())
            .collect();
        let tried = tried.join(" and ");
        return Err(format!(
            "there is no shim at {tried}; install io-net, or use --preload FILE"
        ));
    };
    match found
        .as_os_str()
        .as_bytes()
        .iter()
        .any(|b| b" :\t\n".contains(b))
    {
        true => Err(format!(
            "the loader cannot be told of {}: LD_PRELOAD takes no path with a blank or a colon; \
             install io-net elsewhere",
            found.display()
        )),
        false => Ok(found),
    }
}

/// Makes sure that the program's loader takes the shim. The loader lists what it would load;
/// nothing of the program runs.
pub(crate) fn check(shim: &Path, program: &Loaded) -> Outcome<()> {
    let listed = Command::new(&program.loader)
        .arg("--list")
        .arg(&program.file)
        .env("LD_PRELOAD", shim)
        .stdin(Stdio::null())
        .output()
        .map_err(|e| format!("cannot run the loader {}: {e}", program.loader.display()))?;
    let has_shim = listed
        .stdout
        .windows(NAME.len())
        .any(|part| part == NAME.as_bytes());
    // glibc names it here when it cannot load it, and goes on.
    if has_shim
        && !listed
            .stderr
            .windows(NAME.len())
            .any(|part| part == NAME.as_bytes())
    {
        return Ok(());
    }
    let why = String::from_utf8_lossy(&listed.stderr).trim().to_string();
    Err(format!(
        "the loader {} does not load the shim into {}{}{why}; the program needs the C library that io-net was \
         built for (glibc)",
        program.loader.display(),
        program.file.display(),
        if why.is_empty() { "" } else { ": " },
    ))
}

/// The value of LD_PRELOAD: the shim before what is there already.
pub(crate) fn preload(shim: &Path, before: Option<OsString>) -> OsString {
    let mut value = shim.as_os_str().to_os_string();
    let others = before.unwrap_or_default();
    let others = others.as_bytes().split(|b| b" :".contains(b));
    for other in others.filter(|o| !o.is_empty() && *o != shim.as_os_str().as_bytes()) {
        value.push(":");
        value.push(OsStr::from_bytes(other));
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_preloads_stay_and_ours_comes_first_once() {
        let shim = Path::new("/l/shim.so");
        assert_eq!(preload(shim, None), "/l/shim.so");
        let before = Some("a.so /l/shim.so:b.so".into());
        assert_eq!(preload(shim, before), "/l/shim.so:a.so:b.so");
    }

    #[test]
    fn a_missing_or_unusable_shim_is_named() {
        assert!(
            find(Some(Path::new("/no/shim.so")))
                .unwrap_err()
                .contains("/no/shim.so")
        );
        let own = std::env::current_exe().unwrap();
        let program = crate::program::loaded(&own).unwrap();
        let refused = check(Path::new("/dev/null"), &program).unwrap_err();
        assert!(refused.contains("does not load the shim"), "{refused}");
    }
}
