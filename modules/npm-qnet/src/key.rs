//! The node's key: a file of the node's own, made at its first start.
//!
//! The file holds the secret as 64 hexadecimal digits, and only its owner may read it.

use io_net_ddk::Failure;
use io_net_ddk::errno::{EINVAL, EPERM};
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

/// Bytes of a key, public or secret.
pub(crate) const KEY_LEN: usize = 32;
/// A key, public or secret.
pub(crate) type Key = [u8; KEY_LEN];

/// The secret key in `path`; makes it where there is none. Two that do so at once get the same one.
///
/// # Errors
/// The file cannot be read or made, others may read it, or it holds no key.
pub(crate) fn load_or_make(path: &Path) -> Result<Key, Failure> {
    match load(path) {
        Err(Missing) => {}
        Ok(found) => return found,
    }
    make(path).map_err(|error| io_failure("make the node's key", path, &error))?;
    load(path).unwrap_or_else(|Missing| {
        let error = ErrorKind::NotFound.into();
        Err(io_failure("read the node's key", path, &error))
    })
}

struct Missing;

fn load(path: &Path) -> Result<Result<Key, Failure>, Missing> {
    match fs::File::open(path) {
        Ok(file) => Ok(read(file, path)),
        Err(error) if error.kind() == ErrorKind::NotFound => Err(Missing),
        Err(error) => Ok(Err(io_failure("read the node's key", path, &error))),
    }
}

fn read(file: fs::File, path: &Path) -> Result<Key, Failure> {
    let wrong = |error: io::Error| io_failure("read the node's key", path, &error);
    let about = file.metadata().map_err(wrong)?;
    let at = path.display();
    if !about.is_file() || about.mode() & 0o077 != 0 {
        let text = format!("{at} may be read by others; make it the owner's alone: chmod 600 {at}");
        return Err(Failure::new(EPERM, text));
    }
    let mut text = String::new();
    file.take(2 * KEY_LEN as u64 + 2)
        .read_to_string(&mut text)
        .map_err(wrong)?;
    from_hex(text.trim_end()).ok_or_else(|| {
        let text = format!("{at} holds no key of 64 hexadecimal digits; remove it for a new one");
        Failure::new(EINVAL, text)
    })
}

/// Writes a new key beside `path`, then gives it that name unless somebody else was faster.
fn make(path: &Path) -> io::Result<()> {
    if let Some(dir) = path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    }
    let (secret, mark): (Key, Key) = (random()?, random()?);
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}", &to_hex(&mark)[..16]));
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&beside)?;
    let named = writeln!(file, "{}", to_hex(&secret))
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::hard_link(&beside, path));
    fs::remove_file(&beside)?;
    match named {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        named => named,
    }
}

/// Bytes that nobody can foresee.
///
/// # Errors
/// The kernel gives none.
pub(crate) fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// `key` in hexadecimal digits.
pub(crate) fn to_hex(key: &Key) -> String {
    key.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads 64 hexadecimal digits.
pub(crate) fn from_hex(text: &str) -> Option<Key> {
    let digits = text.as_bytes();
    if digits.len() != 2 * KEY_LEN {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let mut key = Key::default();
    for (byte, pair) in key.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = (digit(pair[0])? << 4 | digit(pair[1])?) as u8;
    }
    Some(key)
}

fn io_failure(what: &str, path: &Path, error: &io::Error) -> Failure {
    let text = format!("cannot {what} in {}", path.display());
    Failure::io(text, error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_key_is_made_once_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/er/node.key");
        let key = load_or_make(&path).unwrap();
        assert_eq!(load_or_make(&path).unwrap(), key);
        let mode = path.metadata().unwrap().mode();
        assert_eq!(mode & 0o777, 0o600);
        let beside = fs::read_dir(path.parent().unwrap()).unwrap().count();
        assert_eq!(beside, 1, "nothing else is left there");
        let other = load_or_make(&dir.path().join("other.key")).unwrap();
        assert_ne!(other, key);
    }

    #[test]
    fn all_who_make_it_at_once_get_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("node.key");
        let keys: Vec<Key> = std::thread::scope(|scope| {
            let makers: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| load_or_make(&path).unwrap()))
                .collect();
            makers.into_iter().map(|m| m.join().unwrap()).collect()
        });
        assert!(keys.iter().all(|key| *key == keys[0]));
    }

    #[test]
    fn a_file_that_is_not_the_owners_alone_or_no_key_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("node.key");
        load_or_make(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert_eq!(load_or_make(&path).unwrap_err().errno, EPERM);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        for text in ["", "12", &"g".repeat(64), &"a".repeat(65), "\u{fc}"] {
            fs::write(&path, text).unwrap();
            assert_eq!(load_or_make(&path).unwrap_err().errno, EINVAL, "{text}");
        }
        assert!(load_or_make(dir.path()).is_err());
    }
}
