//! Those who keep names, and the thread that tells one of them this node's.

use crate::own::{News, Own};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// How often a keeper is looked after.
const LOOK: Duration = Duration::from_secs(5);
/// How soon one that cannot be reached is tried again: at first, and at last.
const RETRY: Duration = Duration::from_millis(250);
const RETRY_MAX: Duration = Duration::from_secs(4);

/// Someone who keeps names: a server, or etcd. Any thread may call.
pub trait Keeper: Send + Sync {
    /// What it is called.
    fn name(&self) -> &str;

    /// Begins anew: this node has told it nothing.
    ///
    /// # Errors
    /// It cannot be reached, or refuses; a sentence.
    fn begin(&self) -> Result<(), String>;

    /// This node has these names from now on, and these no more.
    ///
    /// # Errors
    /// As [`Keeper::begin`]; it is to begin anew then.
    fn tell(&self, come: &[&str], gone: &[&str]) -> Result<(), String>;

    /// Makes sure that what was told is still known; called now and then.
    ///
    /// # Errors
    /// As [`Keeper::tell`].
    fn look_after(&self) -> Result<(), String>;

    /// The nodes that have a name, by their full names.
    ///
    /// # Errors
    /// As [`Keeper::begin`].
    fn find(&self, name: &str) -> Result<Vec<String>, String>;

    /// Connection `coid` is dead. Whether it led to this one.
    fn lost(&self, coid: i32) -> bool;

    /// The program ends.
    fn end(&self);
}

/// Keeps keeper `at` told of `own` names, until those end.
pub fn keep_told(keeper: &Arc<dyn Keeper>, at: usize, own: &Own, verbose: bool) {
    let mut trouble = None;
    let mut retry = RETRY;
    loop {
        let why = match serve(keeper.as_ref(), at, own, || {
            if verbose || trouble.is_some() {
                eprintln!("gns: {} is told", keeper.name());
            }
            trouble = None;
            retry = RETRY;
        }) {
            Ok(()) => return keeper.end(),
            Err(why) => why,
        };
        own.told(at, None);
        // Once, and again where it is another one.
        if trouble.as_ref() != Some(&why) {
            eprintln!("gns: {} is not told for now: {why}", keeper.name());
            trouble = Some(why);
        }
        if own.wait_for_end(retry) {
            return keeper.end();
        }
        retry = (2 * retry).min(RETRY_MAX);
    }
}

/// Tells a keeper until the program ends, or it cannot be reached.
fn serve(keeper: &dyn Keeper, at: usize, own: &Own, mut begun: impl FnMut()) -> Result<(), String> {
    keeper.begin()?;
    let (mut known, mut told) = (BTreeSet::new(), 0);
    loop {
        match own.wait(at, told, LOOK) {
            News::End => return Ok(()),
            News::Nothing => keeper.look_after()?,
            News::Names(names, change) => {
                let come: Vec<&str> = names.difference(&known).map(String::as_str).collect();
                let gone: Vec<&str> = known.difference(&names).map(String::as_str).collect();
                keeper.tell(&come, &gone)?;
                own.told(at, Some(change));
                if told == 0 {
                    begun();
                }
                (known, told) = (names, change);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicU32, Ordering};

    /// Writes down what it is told, and can be reached at the third attempt.
    #[derive(Default)]
    struct Diary {
        attempts: AtomicU32,
        said: Mutex<Vec<String>>,
        found: Mutex<Vec<String>>,
    }

    impl Keeper for Diary {
        fn name(&self) -> &str {
            "diary"
        }

        fn begin(&self) -> Result<(), String> {
            match self.attempts.fetch_add(1, Ordering::Relaxed) {
                0 | 1 => Err("not now".into()),
                _ => Ok(()),
            }
        }

        fn tell(&self, come: &[&str], gone: &[&str]) -> Result<(), String> {
            let mut said = self.said.lock().unwrap();
            said.push(format!("{come:?} {gone:?}"));
            Ok(())
        }

        fn look_after(&self) -> Result<(), String> {
            Ok(())
        }

        fn find(&self, _: &str) -> Result<Vec<String>, String> {
            Ok(self.found.lock().unwrap().clone())
        }

        fn lost(&self, _: i32) -> bool {
            false
        }

        fn end(&self) {
            self.said.lock().unwrap().push("end".into());
        }
    }

    #[test]
    fn one_that_cannot_be_reached_is_told_when_it_can() {
        let dir = tempfile::tempdir().unwrap();
        let own = Own::new(dir.path().to_owned(), 1);
        let diary = Arc::new(Diary::default());
        let keeper: Arc<dyn Keeper> = diary.clone();
        std::thread::scope(|scope| {
            scope.spawn(|| keep_told(&keeper, 0, &own, false));
            while diary.said.lock().unwrap().is_empty() {
                std::thread::yield_now();
            }
            own.end();
        });
        let said = diary.said.lock().unwrap();
        assert_eq!(*said, ["[] []", "end"]);
    }
}
