//! Makes a new module from `modules/template`, which is a filter; for another kind the places where
//! kinds differ are replaced.

use crate::shell::{self, Outcome};
use crate::workspace;

/// The kinds of module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    /// One network adaptor
    Driver,
    /// Sees packets above or below a producer
    Filter,
    /// Encapsulates between layers
    Converter,
    /// A protocol stack
    Protocol,
}

/// The files of a module that are made from the template's.
const FILES: &[&str] = &["Cargo.toml", "src/lib.rs", "tests/conformance.rs"];

const PLACE: &str = "Place::filter(c\"template\")";
const KIND: &str = "KIND_FILTER";
const PASS_UP: &str = "cx.tx_up(burst);";
const PASS_DOWN: &str = "cx.tx_down(burst);";

/// A driver has nobody below and a protocol nobody above to pass packets on to.
const END: &str = "// Dropping a burst releases its packets.\n        drop(burst);";

impl Kind {
    fn prefix(self) -> &'static str {
        match self {
            Self::Driver => "devn",
            Self::Filter => "nfm",
            Self::Converter => "ncm",
            Self::Protocol => "npm",
        }
    }

    /// What differs from a filter's source.
    fn edits(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Filter => &[],
            Self::Driver => &[
                (PLACE, "Place::driver(c\"en\", c\"en\")"),
                (KIND, "KIND_DRIVER"),
                (PASS_DOWN, END),
                (
                    "rx_down(&mut self, burst: Burst, cx:",
                    "rx_down(&mut self, burst: Burst, _cx:",
                ),
            ],
            Self::Converter => &[
                (PLACE, "Place::converter(c\"template\", c\"ip\", c\"en\")"),
                (KIND, "KIND_CONVERTER"),
            ],
            Self::Protocol => &[
                (PLACE, "Place::protocol(c\"template\", c\"ip\")"),
                (KIND, "KIND_PROTOCOL"),
                (PASS_UP, END),
                (
                    "rx_up(&mut self, burst: Burst, cx:",
                    "rx_up(&mut self, burst: Burst, _cx:",
                ),
            ],
        }
    }
}

/// Makes `modules/PREFIX-NAME`, which the workspace takes in by itself.
pub(crate) fn run(kind: Kind, name: &str) -> Outcome {
    let name = without_prefix(kind, name);
    check_name(name)?;
    let root = workspace::root();
    let template = root.join("modules/template");
    let full = format!("{}-{name}", kind.prefix());
    let target = root.join("modules").join(&full);
    if target.exists() {
        return Err(format!("modules/{full} is there already"));
    }
    for file in FILES {
        let text = adapt(&shell::read(&template.join(file))?, file, kind, name)?;
        shell::write(&target.join(file), &text)?;
    }
    shell::run(
        shell::cargo()
            .current_dir(&root)
            .args(["fmt", "--package", &full]),
    )?;
    println!("made modules/{full}; next: cargo test -p {full}");
    Ok(())
}

/// `name` as it is after the prefix, whether it was given with it or not.
fn without_prefix(kind: Kind, name: &str) -> &str {
    let rest = name.strip_prefix(kind.prefix());
    rest.and_then(|rest| rest.strip_prefix('-')).unwrap_or(name)
}

fn check_name(name: &str) -> Outcome {
    let letters = name
        .bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if letters && name.starts_with(|c: char| c.is_ascii_lowercase()) && !name.ends_with('-') {
        return Ok(());
    }
    Err(format!(
        "`{name}`: a name is lower-case letters, digits and dashes"
    ))
}

/// One of the template's files made into the new module's.
fn adapt(text: &str, file: &str, kind: Kind, name: &str) -> Outcome<String> {
    let text = match file {
        "Cargo.toml" => own_description(text, kind),
        "src/lib.rs" => own_source(text, kind)?,
        _ if kind == Kind::Filter => text.to_owned(),
        _ => conformance_alone(text),
    };
    Ok(text
        .replace("The built template", "The built module")
        .replace("nfm-template", &format!("{}-{name}", kind.prefix()))
        .replace("c\"template\"", &format!("c\"{}\"", name.replace('-', "_"))))
}

/// What a new module is, in one line.
fn summary(kind: Kind) -> String {
    format!(
        "A {} that counts packets, to start from.",
        format!("{kind:?}").to_lowercase()
    )
}

/// The manifest with a description of its own.
fn own_description(text: &str, kind: Kind) -> String {
    let own = |line: &str| match line.starts_with("description") {
        true => format!("description = \"{}\"\n", summary(kind)),
        false => format!("{line}\n"),
    };
    text.lines().map(own).collect()
}

/// The source for another kind, with a first paragraph of its own.
fn own_source(text: &str, kind: Kind) -> Outcome<String> {
    let code = text.lines().skip_while(|line| line.starts_with("//!"));
    let code: Vec<&str> = code.collect();
    let mut text = format!("//! {}\n{}\n", summary(kind), code.join("\n"));
    for (from, to) in kind.edits() {
        if !text.contains(from) {
            return Err(format!(
                "modules/template/src/lib.rs no longer says `{from}`"
            ));
        }
        text = text.replace(from, to);
    }
    Ok(text)
}

/// Only the conformance suite: what else the template tests is true of a filter only.
fn conformance_alone(text: &str) -> String {
    let mut parts = text.splitn(3, "#[test]");
    let head = parts.next().unwrap_or_default().replace("Kit, ", "");
    let first = parts.next().unwrap_or_default();
    format!("{head}#[test]{}\n", first.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(file: &str) -> String {
        shell::read(&workspace::root().join("modules/template").join(file)).expect("the template")
    }

    #[test]
    fn the_template_fits_every_kind() {
        for kind in [Kind::Driver, Kind::Filter, Kind::Converter, Kind::Protocol] {
            for file in FILES {
                let text = adapt(&template(file), file, kind, "x-y").expect("fits");
                assert!(!text.contains("template"), "{kind:?} {file}: {text}");
            }
        }
    }

    #[test]
    fn a_name_may_have_its_prefix() {
        assert_eq!(without_prefix(Kind::Protocol, "npm-x"), "x");
        assert_eq!(without_prefix(Kind::Driver, "npm-x"), "npm-x");
        assert_eq!(without_prefix(Kind::Protocol, "npmx"), "npmx");
    }

    #[test]
    fn names_are_checked() {
        assert!(check_name("null0").is_ok());
        for bad in ["", "devn_x", "Null", "-x", "x-", "a b", "../x"] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn one_test_is_left() {
        let text = conformance_alone(&template("tests/conformance.rs"));
        assert_eq!(text.matches("#[test]").count(), 1);
        assert!(!text.contains("Kit"));
    }
}
