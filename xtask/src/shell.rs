//! Running programs and touching files, with errors that say which.

use std::path::Path;
use std::process::{Command, Stdio};

/// What a chore ends in; the error is a sentence for the user.
pub(crate) type Outcome<T = ()> = Result<T, String>;

/// Runs `command` on this terminal; its failure is an error.
pub(crate) fn run(command: &mut Command) -> Outcome {
    let status = command
        .status()
        .map_err(|e| format!("{} does not start: {e}", name(command)))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("{} failed ({status})", line(command)))
    }
}

/// Runs `command` and returns what it printed on standard output.
pub(crate) fn output(command: &mut Command) -> Outcome<String> {
    let out = command
        .stderr(Stdio::inherit())
        .output()
        .map_err(|e| format!("{} does not start: {e}", name(command)))?;
    if !out.status.success() {
        return Err(format!("{} failed ({})", line(command), out.status));
    }
    String::from_utf8(out.stdout).map_err(|_| format!("{} printed no UTF-8", name(command)))
}

/// The cargo that runs this program.
pub(crate) fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Reads a text file.
pub(crate) fn read(path: &Path) -> Outcome<String> {
    std::fs::read_to_string(path).map_err(|e| format!("cannot read {}: {e}", path.display()))
}

/// Writes a file and the directories above it, where the content differs.
pub(crate) fn write(path: &Path, text: &str) -> Outcome {
    if std::fs::read_to_string(path).is_ok_and(|old| old == text) {
        return Ok(());
    }
    make_dir(path.parent().unwrap_or(Path::new("/")))?;
    std::fs::write(path, text).map_err(|e| format!("cannot write {}: {e}", path.display()))
}

/// Makes a directory and those above it.
pub(crate) fn make_dir(path: &Path) -> Outcome {
    std::fs::create_dir_all(path).map_err(|e| format!("cannot make {}: {e}", path.display()))
}

/// Copies a file with its permissions.
///
/// The old file is removed first: a running program keeps its own, and no text file is busy.
pub(crate) fn copy(from: &Path, to: &Path) -> Outcome {
    let _ = std::fs::remove_file(to);
    std::fs::copy(from, to)
        .map(|_| ())
        .map_err(|e| format!("cannot copy {} to {}: {e}", from.display(), to.display()))
}

fn name(command: &Command) -> String {
    command.get_program().to_string_lossy().into_owned()
}

fn line(command: &Command) -> String {
    let args = command.get_args().map(|a| a.to_string_lossy());
    let mut words = vec![command.get_program().to_string_lossy()];
    words.extend(args);
    words.join(" ")
}
