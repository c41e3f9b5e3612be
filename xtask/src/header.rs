//! Generates `ddk.h` from `ddk/abi`, and `abi.lock` from `ddk.h`.

use crate::abi::{self, Abi};
use crate::shell::{self, Outcome};
use crate::workspace;
use cbindgen::{Builder, Config, Language};
use std::path::Path;

const HEADER: &str = "ddk/abi/include/io_net/ddk.h";
const INLINE: &str = "ddk/abi/include/io_net/inline.h.in";
const LOCK: &str = "ddk/abi/abi.lock";

/// Writes both files, or with `check` compares them with the committed ones.
pub(crate) fn run(check: bool) -> Outcome {
    let root = workspace::root();
    let abi = Abi::read()?;
    let header = generate(&abi, &root)?;
    let lock = abi::lock(&abi, &header)?;
    for (name, text) in [(HEADER, header), (LOCK, lock)] {
        let path = root.join(name);
        if !check {
            shell::write(&path, &text)?;
        } else if shell::read(&path)? != text {
            return Err(format!(
                "{name} is not what ddk/abi says; run `cargo xtask header` and, where abi.lock \
                 changes, raise ABI_MAJOR or ABI_MINOR or say why not in docs/adr"
            ));
        }
    }
    println!(
        "header: {} types, {} constants",
        abi.types.len(),
        abi.consts.len()
    );
    Ok(())
}

/// The text of `ddk.h`.
fn generate(abi: &Abi, root: &Path) -> Outcome<String> {
    let bindings = Builder::new()
        .with_config(config(abi))
        .with_crate(root.join("ddk/abi"))
        .generate()
        .map_err(|e| format!("cbindgen: {e}"))?;
    let mut raw = Vec::new();
    bindings.write(&mut raw);
    let raw = String::from_utf8(raw).map_err(|_| "cbindgen wrote no UTF-8".to_owned())?;
    let inline = shell::read(&root.join(INLINE))?;
    let text = raw.replace("@INLINE@\n", &inline);
    Ok(text.lines().map(|line| comment(abi, line) + "\n").collect())
}

fn config(abi: &Abi) -> Config {
    let mut config = Config {
        language: Language::C,
        style: cbindgen::Style::Both,
        cpp_compat: true,
        documentation: true,
        documentation_style: cbindgen::DocumentationStyle::C99,
        include_guard: Some("IO_NET_DDK_H".into()),
        header: Some(
            "// The Network DDK's C interface: what io-net and its modules say to each other.\n\
             // Generated from ddk/abi by `cargo xtask header`; do not edit."
                .into(),
        ),
        trailer: Some("@INLINE@".into()),
        no_includes: true,
        usize_is_size_t: true,
        sys_includes: vec!["stddef.h".into(), "stdint.h".into()],
        tab_width: 4,
        line_length: 100,
        ..Config::default()
    };
    config.export.item_types = vec![];
    config.layout.aligned_n = Some("ION_ALIGNED".into());
    config.after_includes = Some(
        "#if defined(__GNUC__)\n#define ION_ALIGNED(n) __attribute__((aligned(n)))\n#else\n\
         #error \"ddk.h needs a compiler with GNU attributes\"\n#endif"
            .into(),
    );
    let names = abi.consts.iter().chain(abi.types.iter().map(|t| &t.name));
    for name in names {
        config.export.include.push(name.clone());
        if let Some(c) = abi.c_name(name) {
            config.export.rename.insert(name.clone(), c);
        }
    }
    for (atomic, plain) in [("AtomicU32", "uint32_t"), ("AtomicU64", "uint64_t")] {
        config.export.rename.insert(atomic.into(), plain.into());
    }
    config
}

/// Turns the names in one line of comment into C's: `` [`crate::Npkt::cell`] `` to
/// `` `ion_npkt_t.cell` ``.
fn comment(abi: &Abi, line: &str) -> String {
    if !line.trim_start().starts_with("//") {
        return line.to_owned();
    }
    let line = line.replace("[`", "`").replace("`]", "`");
    let words: Vec<String> = line
        .split('`')
        .enumerate()
        .map(|(i, part)| {
            if i % 2 == 1 {
                word(abi, part)
            } else {
                part.to_owned()
            }
        })
        .collect();
    words.join("`")
}

/// The C name of what stands between backticks.
fn word(abi: &Abi, name: &str) -> String {
    let path = name.trim_start_matches("crate::");
    match path {
        "u32" => return "uint32_t".to_owned(),
        "u32::MAX" => return "UINT32_MAX".to_owned(),
        _ => {}
    }
    if let Some((ty, field)) = path.split_once("::") {
        return match abi.c_name(ty) {
            Some(ty) => format!("{ty}.{field}"),
            None => name.to_owned(),
        };
    }
    let family = path
        .strip_suffix('*')
        .is_some_and(|stem| !stem.is_empty() && abi.consts.iter().any(|c| c.starts_with(stem)));
    if family {
        return format!("ION_{path}");
    }
    abi.c_name(path).unwrap_or_else(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_speak_c() {
        let mut abi = Abi::default();
        abi.consts.push("NPKT_UP".into());
        abi.types.push(abi::Type {
            name: "Npkt".into(),
            fields: vec!["cell".into()],
        });
        let c = |line| comment(&abi, line);
        assert_eq!(
            c("// [`crate::Npkt::cell`] and `NPKT_*`."),
            "// `ion_npkt_t.cell` and `ION_NPKT_*`."
        );
        assert_eq!(c("// `NPKT_UP`, `en`, `0`"), "// `ION_NPKT_UP`, `en`, `0`");
        assert_eq!(c("int a; [`Npkt`]"), "int a; [`Npkt`]");
    }
}
