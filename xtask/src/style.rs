//! Sizes of functions and files, and where `unsafe` may stand.
//!
//! Tests do not count: neither `#[cfg(test)]` modules nor `*tests.rs` and `tests/`. What is larger
//! than the limits stands in `xtask/style-allow.txt` with its size, which may only shrink.

use crate::shell::{self, Outcome};
use crate::workspace;
use proc_macro2::{TokenStream, TokenTree};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

const FN_LINES_MAX: usize = 70;
const FILE_LINES_MAX: usize = 800;

/// Directories whose Rust may say `unsafe`.
const UNSAFE_HOMES: &[&str] = &[
    "lib/os/",
    "lib/ring/",
    "lib/pktbuf/",
    "ddk/",
    "client/socket/",
    "client/preload/",
    "client/msg/src/ffi/",
    // They fork.
    "client/msg/tests/",
    "manager/io-net/src/loader",
    "manager/io-net/src/dispatch",
    "tests/badmodules/",
];

/// Checks every Rust file of the workspace.
pub(crate) fn run() -> Outcome {
    let root = workspace::root();
    let allowed = allow_list(&shell::read(&root.join("xtask/style-allow.txt"))?)?;
    let mut found = Findings::default();
    for package in workspace::packages()? {
        for path in rust_files(&root.join(&package.dir))? {
            let name = path
                .strip_prefix(&root)
                .unwrap_or(&path)
                .to_string_lossy()
                .into_owned();
            inspect(&name, &shell::read(&path)?, &mut found)?;
        }
    }
    let wrongs = judge(&found, &allowed);
    if wrongs.is_empty() {
        println!("style: {} files within limits", found.files);
        return Ok(());
    }
    Err(format!("style:\n  {}", wrongs.join("\n  ")))
}

/// What one run saw.
#[derive(Default)]
struct Findings {
    files: usize,
    /// Over a limit: `path` or `path::function`, and its lines.
    large: BTreeMap<String, usize>,
    /// Files outside the homes of unsafe code that say `unsafe`, with the line.
    unsafe_at: Vec<String>,
}

/// Reads one file, named below the root.
fn inspect(name: &str, text: &str, found: &mut Findings) -> Outcome {
    let file = syn::parse_file(text).map_err(|e| format!("{name}: {e}"))?;
    found.files += 1;
    let homes = UNSAFE_HOMES.iter().any(|home| name.starts_with(home));
    if let Some(line) = (!homes).then(|| unsafe_line(text.parse().ok()?)).flatten() {
        found.unsafe_at.push(format!("{name}:{line}"));
    }
    if name.ends_with("tests.rs") || name.contains("/tests/") {
        return Ok(());
    }
    let mut sizes = Sizes {
        file: name,
        large: &mut found.large,
        test_lines: 0,
    };
    sizes.visit_file(&file);
    let lines = text.lines().count() - sizes.test_lines;
    if lines > FILE_LINES_MAX {
        found.large.insert(name.to_owned(), lines);
    }
    Ok(())
}

/// Collects functions over the limit, passing over tests.
struct Sizes<'a> {
    file: &'a str,
    large: &'a mut BTreeMap<String, usize>,
    test_lines: usize,
}

impl Sizes<'_> {
    fn function(&mut self, signature: &syn::Signature, end: proc_macro2::Span) {
        let lines = end.end().line - signature.span().start().line + 1;
        if lines > FN_LINES_MAX {
            self.large
                .insert(format!("{}::{}", self.file, signature.ident), lines);
        }
    }
}

impl<'a> Visit<'a> for Sizes<'_> {
    fn visit_item_mod(&mut self, item: &'a syn::ItemMod) {
        if item.attrs.iter().any(is_cfg_test) {
            let span = item.span();
            self.test_lines += span.end().line - span.start().line + 1;
            return;
        }
        visit::visit_item_mod(self, item);
    }

    fn visit_item_fn(&mut self, item: &'a syn::ItemFn) {
        self.function(&item.sig, item.block.span());
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'a syn::ImplItemFn) {
        self.function(&item.sig, item.block.span());
        visit::visit_impl_item_fn(self, item);
    }
}

fn is_cfg_test(attr: &syn::Attribute) -> bool {
    attr.path().is_ident("cfg")
        && attr
            .meta
            .require_list()
            .is_ok_and(|list| list.tokens.to_string() == "test")
}

/// The line of the first `unsafe` in `tokens`, comments and text apart.
fn unsafe_line(tokens: TokenStream) -> Option<usize> {
    tokens.into_iter().find_map(|token| match token {
        TokenTree::Ident(ident) if ident == "unsafe" => Some(ident.span().start().line),
        TokenTree::Group(group) => unsafe_line(group.stream()),
        _ => None,
    })
}

/// Holds the findings against the allow-list, which must fit exactly.
fn judge(found: &Findings, allowed: &BTreeMap<String, usize>) -> Vec<String> {
    let mut wrongs: Vec<String> = found
        .unsafe_at
        .iter()
        .map(|at| {
            format!(
                "{at}: unsafe outside its homes ({})",
                UNSAFE_HOMES.join(" ")
            )
        })
        .collect();
    for (name, lines) in &found.large {
        match allowed.get(name) {
            Some(max) if lines == max => {}
            Some(max) if lines < max => wrongs.push(format!(
                "{name}: now {lines} lines; lower its {max} in xtask/style-allow.txt"
            )),
            _ => {
                let max = if name.contains("::") {
                    FN_LINES_MAX
                } else {
                    FILE_LINES_MAX
                };
                let max = allowed.get(name).copied().unwrap_or(max);
                wrongs.push(format!("{name}: {lines} lines, {max} at most"));
            }
        }
    }
    for name in allowed
        .keys()
        .filter(|name| !found.large.contains_key(*name))
    {
        wrongs.push(format!(
            "{name}: within limits; take it out of xtask/style-allow.txt"
        ));
    }
    wrongs
}

/// Reads lines of `NAME LINES`; `#` starts a comment.
fn allow_list(text: &str) -> Outcome<BTreeMap<String, usize>> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| {
            let (name, lines) = line.split_once(' ').unwrap_or((line, ""));
            let lines = lines.trim().parse();
            lines
                .map(|lines| (name.to_owned(), lines))
                .map_err(|_| format!("style-allow.txt: `{line}` is not NAME LINES"))
        })
        .collect()
}

/// Every `.rs` file below `dir`, nested packages and build output apart.
fn rust_files(dir: &Path) -> Outcome<Vec<PathBuf>> {
    let entries =
        std::fs::read_dir(dir).map_err(|e| format!("cannot read {}: {e}", dir.display()))?;
    let mut files = Vec::new();
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            if !path.join("Cargo.toml").exists() && !path.ends_with("target") {
                files.extend(rust_files(&path)?);
            }
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(name: &str, text: &str) -> Findings {
        let mut found = Findings::default();
        inspect(name, text, &mut found).expect("parses");
        found
    }

    fn function(lines: usize) -> String {
        format!("fn f() {{\n{}}}\n", "    g();\n".repeat(lines - 2))
    }

    #[test]
    fn a_function_over_the_limit_is_found_and_one_at_it_is_not() {
        assert!(findings("a/src/a.rs", &function(70)).large.is_empty());
        assert_eq!(
            findings("a/src/a.rs", &function(71)).large["a/src/a.rs::f"],
            71
        );
    }

    #[test]
    fn tests_do_not_count() {
        let text = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", function(900));
        assert!(findings("a/src/a.rs", &text).large.is_empty());
        let long = "const A: u8 = 1;\n".repeat(801);
        assert_eq!(findings("a/src/a.rs", &long).large["a/src/a.rs"], 801);
    }

    #[test]
    fn unsafe_is_seen_in_macros_and_not_in_comments() {
        let text = "// unsafe\nmacro_rules! m { () => { unsafe { f() } } }\n";
        assert_eq!(
            findings("utils/x/src/a.rs", text).unsafe_at,
            ["utils/x/src/a.rs:2"]
        );
        assert!(findings("lib/os/src/a.rs", text).unsafe_at.is_empty());
        assert!(
            findings("utils/x/src/a.rs", "// unsafe\nfn f() {}\n")
                .unsafe_at
                .is_empty()
        );
    }

    #[test]
    fn the_allow_list_only_shrinks() {
        let found = findings("a/src/a.rs", &function(80));
        let list = |lines| BTreeMap::from([("a/src/a.rs::f".to_owned(), lines)]);
        assert!(judge(&found, &list(80)).is_empty());
        assert!(judge(&found, &list(90))[0].contains("lower"));
        assert!(judge(&found, &list(75))[0].contains("75 at most"));
        assert!(judge(&Findings::default(), &list(80))[0].contains("take it out"));
    }
}
