//! Writing to a FIFO without ever waiting for its reader.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Opens the FIFO at `path` for writing, non-blocking and close-on-exec. Writes that find it full
/// fail with `WouldBlock`.
///
/// # Errors
/// ENXIO where nobody has it open for reading, or the kernel's other errors.
pub fn open_writer(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)
}

/// Makes a FIFO at `path` that only its owner may open.
///
/// # Errors
/// `AlreadyExists`, or the kernel's other errors.
pub fn make(path: &Path) -> io::Result<()> {
    use std::os::unix::ffi::OsStrExt;
    let path = std::ffi::CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: `path` is a NUL-terminated string that outlives the call.
    match unsafe { libc::mkfifo(path.as_ptr(), 0o600) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{ErrorKind, Read, Write};

    #[test]
    fn a_fifo_without_a_reader_is_refused_and_a_full_one_does_not_wait() {
        let path = std::env::temp_dir().join(format!("io-net-os-fifo-{}", std::process::id()));
        make(&path).unwrap();
        let refused = open_writer(&path).unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(libc::ENXIO));
        let there = path.clone();
        let reader = std::thread::spawn(move || File::open(there).unwrap());
        let mut writer = loop {
            match open_writer(&path) {
                Ok(file) => break file,
                Err(_) => std::thread::yield_now(),
            }
        };
        let mut reader = reader.join().unwrap();
        let full = loop {
            if let Err(error) = writer.write(&[7; 4096]) {
                break error;
            }
        };
        assert_eq!(full.kind(), ErrorKind::WouldBlock);
        let mut bytes = [0; 4];
        reader.read_exact(&mut bytes).unwrap();
        assert_eq!(bytes, [7; 4]);
        std::fs::remove_file(&path).unwrap();
    }
}
