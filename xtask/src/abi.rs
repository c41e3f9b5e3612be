//! What `ddk/abi` declares, read from its sources, and `abi.lock`: every size, offset and constant
//! as a C compiler sees them through `ddk.h`.

use crate::shell::{self, Outcome};
use crate::workspace;
use std::fmt::Write;
use std::path::Path;
use std::process::Command;

/// The declarations of `ddk/abi`, in the order of its files.
#[derive(Default)]
pub(crate) struct Abi {
    pub(crate) types: Vec<Type>,
    /// Names of public constants.
    pub(crate) consts: Vec<String>,
}

/// A structure, a union or a transparent handle.
pub(crate) struct Type {
    pub(crate) name: String,
    /// Empty in a transparent handle.
    pub(crate) fields: Vec<String>,
}

impl Abi {
    /// Reads the sources.
    pub(crate) fn read() -> Outcome<Self> {
        let dir = workspace::root().join("ddk/abi/src");
        let entries =
            std::fs::read_dir(&dir).map_err(|e| format!("cannot read {}: {e}", dir.display()))?;
        let mut paths: Vec<_> = entries.flatten().map(|e| e.path()).collect();
        paths.sort();
        let mut abi = Self::default();
        for path in paths.iter().filter(|p| !p.ends_with("tests.rs")) {
            abi.add_file(&shell::read(path)?)
                .map_err(|e| format!("{}: {e}", path.display()))?;
        }
        Ok(abi)
    }

    fn add_file(&mut self, text: &str) -> Outcome {
        let file = syn::parse_file(text).map_err(|e| e.to_string())?;
        for item in file.items {
            match item {
                syn::Item::Struct(s) if is_public(&s.vis) => self.add_type(&s.ident, &s.fields),
                syn::Item::Union(u) if is_public(&u.vis) => {
                    self.add_type(&u.ident, &syn::Fields::Named(u.fields));
                }
                syn::Item::Const(c) if is_public(&c.vis) => self.consts.push(c.ident.to_string()),
                _ => {}
            }
        }
        Ok(())
    }

    fn add_type(&mut self, name: &syn::Ident, fields: &syn::Fields) {
        let named = fields.iter().filter_map(|f| f.ident.as_ref());
        self.types.push(Type {
            name: name.to_string(),
            fields: named.map(ToString::to_string).collect(),
        });
    }

    /// The C name of a type or constant: `NicStats` is `ion_nic_stats_t`, `GSO_NONE` is `ION_GSO_NONE`.
    pub(crate) fn c_name(&self, name: &str) -> Option<String> {
        if self.consts.iter().any(|c| c == name) {
            return Some(format!("ION_{name}"));
        }
        let is_type = self.types.iter().any(|t| t.name == name);
        is_type.then(|| match name {
            "Ion" => "ion_t".to_owned(),
            _ => format!("ion_{}_t", snake(name)),
        })
    }

    /// A C program that prints the lock file.
    fn printer(&self) -> String {
        let mut c = String::from(
            "#include <stdio.h>\n#include <io_net/ddk.h>\n\nint main(void) {\n    \
             printf(\"symbol io_net_module\\n\");\n",
        );
        for name in &self.consts {
            let name = format!("ION_{name}");
            let _ = writeln!(
                c,
                "    printf(\"const {name} %llu\\n\", (unsigned long long){name});"
            );
        }
        for t in &self.types {
            let name = self.c_name(&t.name).unwrap_or_default();
            let _ = writeln!(
                c,
                "    printf(\"type {name} size %zu align %zu\\n\", sizeof({name}), _Alignof({name}));"
            );
            for field in &t.fields {
                let _ = writeln!(
                    c,
                    "    printf(\"  {field} offset %zu size %zu\\n\", offsetof({name}, {field}), \
                     sizeof((({name} *)0)->{field}));"
                );
            }
        }
        c.push_str("    return 0;\n}\n");
        c
    }
}

/// Compiles `header` strictly as C11 (and C++, where there is a compiler), and returns the lock
/// file's text.
pub(crate) fn lock(abi: &Abi, header: &str) -> Outcome<String> {
    let dir = workspace::target_dir().join("xtask-abi");
    shell::write(&dir.join("io_net/ddk.h"), header)?;
    let source = dir.join("lock.c");
    shell::write(&source, &abi.printer())?;
    let program = dir.join("lock");
    shell::run(
        compiler("cc", "-std=c11", &dir)
            .arg(&source)
            .arg("-o")
            .arg(&program),
    )?;
    if Command::new("c++")
        .arg("--version")
        .output()
        .is_ok_and(|o| o.status.success())
    {
        let source = dir.join("clean.cc");
        shell::write(&source, "#include <io_net/ddk.h>\n")?;
        shell::run(
            compiler("c++", "-std=c++11", &dir)
                .arg("-fsyntax-only")
                .arg(&source),
        )?;
    }
    shell::output(&mut Command::new(&program))
}

fn compiler(name: &str, std: &str, include: &Path) -> Command {
    let mut command = Command::new(name);
    command
        .args([std, "-Wall", "-Wextra", "-Werror", "-pedantic", "-I"])
        .arg(include);
    command
}

fn is_public(vis: &syn::Visibility) -> bool {
    matches!(vis, syn::Visibility::Public(_))
}

fn snake(name: &str) -> String {
    let mut out = String::new();
    for (i, c) in name.char_indices() {
        if c.is_ascii_uppercase() && i > 0 {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declarations_are_found_and_named() {
        let mut abi = Abi::default();
        abi.add_file(
            "pub const A_B: u32 = 1;\nconst HIDDEN: u8 = 0;\npub struct NicStats { pub valid: u64 }\n\
             pub struct RegHandle(pub u32);\npub struct Ion { pub size: u32 }\nstruct Own { x: u8 }\n",
        )
        .expect("parses");
        assert_eq!(abi.c_name("A_B").as_deref(), Some("ION_A_B"));
        assert_eq!(abi.c_name("NicStats").as_deref(), Some("ion_nic_stats_t"));
        assert_eq!(abi.c_name("RegHandle").as_deref(), Some("ion_reg_handle_t"));
        assert_eq!(abi.c_name("Ion").as_deref(), Some("ion_t"));
        assert_eq!(abi.c_name("HIDDEN"), None);
        assert_eq!(abi.c_name("Own"), None);
    }
}
