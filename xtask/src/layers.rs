//! Who may import whom, read off `cargo metadata`.
//!
//! The rules are about directories, because a directory is a crate is an artefact. Tests may reach
//! further than what they test: a dev-dependency may be any crate but a module.

use crate::shell::Outcome;
use crate::workspace::{self, DepKind, Package};

/// Directories whose name starts with `of` may import those whose name starts with one of `may`.
struct Rule {
    of: &'static str,
    may: &'static [&'static str],
}

/// The first rule that fits a directory holds.
const RULES: &[Rule] = &[
    Rule {
        of: "ddk/abi",
        may: &[],
    },
    Rule {
        of: "lib/pktbuf",
        may: &["ddk/abi", "lib/"],
    },
    Rule {
        of: "lib/",
        may: &["lib/"],
    },
    Rule {
        of: "stack/",
        may: &["lib/wire"],
    },
    Rule {
        of: "ddk/ddk",
        // lib/wire for the offloads that it does in software.
        may: &["ddk/abi", "lib/pktbuf", "lib/wire"],
    },
    Rule {
        of: "ddk/testkit",
        may: &["ddk/", "lib/"],
    },
    Rule {
        of: "modules/",
        may: &["ddk/ddk", "stack/", "lib/", "client/proto"],
    },
    Rule {
        of: "manager/",
        may: &["ddk/abi", "lib/", "client/proto"],
    },
    Rule {
        of: "client/",
        may: &["client/", "lib/ring", "lib/os", "lib/rendezvous"],
    },
    Rule {
        of: "utils/io-net-node",
        // It serves files as other users, out of directories that no path may leave.
        may: &["client/", "lib/os"],
    },
    Rule {
        of: "utils/gns",
        // It keeps names in etcd, and waits for signals.
        may: &["client/", "lib/etcd", "lib/os"],
    },
    Rule {
        of: "utils/",
        may: &["client/"],
    },
    Rule {
        of: "tests/",
        may: &["ddk/", "lib/", "stack/", "client/", "tests/"],
    },
    Rule {
        of: "fuzz",
        may: &["ddk/", "lib/", "stack/", "client/", "tests/"],
    },
    Rule {
        of: "benches",
        may: &["lib/", "client/", "tests/", "benches/"],
    },
    Rule {
        of: "xtask",
        may: &["tests/"],
    },
];

/// `libc` is called in these only; client/socket takes numbers from it.
const LIBC_HOMES: &[&str] = &["lib/os", "client/preload", "client/socket", "client/msg"];

/// Crates from outside that a sans-IO stack may use: no clock, socket or thread in them.
const PURE: &[&str] = &["zerocopy", "snow", "aws-lc-rs"];

/// Checks the workspace.
pub(crate) fn run() -> Outcome {
    let packages = workspace::packages()?;
    let wrongs: Vec<String> = packages.iter().flat_map(violations).collect();
    if wrongs.is_empty() {
        println!("layers: {} packages keep to them", packages.len());
        return Ok(());
    }
    Err(format!("layers are broken:\n  {}", wrongs.join("\n  ")))
}

/// What `package` imports and may not, a sentence each.
fn violations(package: &Package) -> Vec<String> {
    let Some(rule) = RULES.iter().find(|r| package.dir.starts_with(r.of)) else {
        return vec![format!(
            "{}: no rule in xtask/src/layers.rs speaks of this directory; add one",
            package.dir
        )];
    };
    package
        .deps
        .iter()
        .filter_map(|dep| {
            let why = match (&dep.dir, dep.kind) {
                (Some(dir), _) if dir.starts_with("modules/") => {
                    "nobody links a module; it is met through dlopen".to_owned()
                }
                (_, DepKind::Dev) => return None,
                (Some(dir), _) if !rule.may.iter().any(|m| dir.starts_with(m)) => {
                    format!("{}* may import {}", rule.of, list(rule.may))
                }
                (None, _) if dep.name == "libc" && !LIBC_HOMES.contains(&&*package.dir) => {
                    format!("libc is called in {} only", list(LIBC_HOMES))
                }
                (None, _) if rule.of == "ddk/abi" => "ddk/abi depends on nothing".to_owned(),
                (None, _) if rule.of == "stack/" && !PURE.contains(&&*dep.name) => {
                    format!("of outside crates stack/* may import {}", list(PURE))
                }
                _ => return None,
            };
            Some(format!("{} imports {}: {why}", package.dir, dep.name))
        })
        .collect()
}

fn list(names: &[&str]) -> String {
    match names {
        [] => "nothing".to_owned(),
        [one] => (*one).to_owned(),
        [init @ .., last] => format!("{} and {last}", init.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::Dep;

    fn package(dir: &str, name: &str, dep_dir: Option<&str>, kind: DepKind) -> Package {
        Package {
            name: "p".into(),
            dir: dir.into(),
            deps: vec![Dep {
                name: name.into(),
                kind,
                dir: dep_dir.map(Into::into),
            }],
            bins: vec![],
            cdylib: None,
        }
    }

    #[test]
    fn a_lower_layer_may_be_imported_and_a_higher_one_not() {
        let down = package(
            "stack/tcpip",
            "io-net-wire",
            Some("lib/wire"),
            DepKind::Normal,
        );
        assert!(violations(&down).is_empty());
        let up = package(
            "lib/wire",
            "io-net-tcpip",
            Some("stack/tcpip"),
            DepKind::Normal,
        );
        assert_eq!(violations(&up).len(), 1);
        let side = package("stack/tcpip", "io-net-os", Some("lib/os"), DepKind::Normal);
        assert!(violations(&side)[0].contains("lib/wire"));
    }

    #[test]
    fn nobody_links_a_module_even_in_tests() {
        let test = package(
            "tests/e2e",
            "devn-tap",
            Some("modules/devn-tap"),
            DepKind::Dev,
        );
        assert!(violations(&test)[0].contains("dlopen"));
    }

    #[test]
    fn tests_reach_further() {
        let test = package(
            "lib/wire",
            "io-net-testkit",
            Some("ddk/testkit"),
            DepKind::Dev,
        );
        assert!(violations(&test).is_empty());
    }

    #[test]
    fn libc_and_outside_crates_have_homes() {
        assert!(violations(&package("lib/os", "libc", None, DepKind::Normal)).is_empty());
        assert_eq!(
            violations(&package("utils/io-netctl", "libc", None, DepKind::Normal)).len(),
            1
        );
        assert_eq!(
            violations(&package("ddk/abi", "serde", None, DepKind::Normal)).len(),
            1
        );
        assert_eq!(
            violations(&package("stack/tcpip", "mio", None, DepKind::Normal)).len(),
            1
        );
    }

    #[test]
    fn an_unknown_directory_needs_a_rule() {
        assert_eq!(
            violations(&package("attic", "x", None, DepKind::Normal)).len(),
            1
        );
    }
}
