//! Instances of modules as the control thread holds them: mapped, started, ended.

use crate::dispatch;
use crate::instance::{Context, Link, Wish};
use crate::loader::{InitResult, InstancePointer, Module};
use crate::options::Placement;
use crate::shared::Shared;
use io_net_abi::Ion;
use io_net_proto::control::Failure;
use std::path::PathBuf;
use std::sync::Arc;

/// A running instance of a module.
pub struct Instance {
    /// Its identity.
    pub link: Arc<Link>,
    /// The shared object.
    pub module: Module,
    /// Its file.
    pub path: PathBuf,
    /// The options as the operator gave them.
    pub options: String,
    /// Worker that runs it.
    pub home: usize,
    /// The protocol for whose sake io-net loaded it.
    pub serves: Option<u64>,
    pointer: Option<InstancePointer>,
    context: Box<Context>,
    /// The table that the module holds; it points to `context`.
    ion: Box<Ion>,
}

/// What to make an instance from.
pub struct Making {
    /// Its number.
    pub id: u64,
    /// The shared object.
    pub module: Module,
    /// Its file.
    pub path: PathBuf,
    /// All options.
    pub options: String,
    /// io-net's part of them.
    pub placement: Placement,
    /// The module's part.
    pub own_options: String,
    /// Worker that will run it.
    pub home: usize,
    /// The protocol for whose sake it is loaded.
    pub serves: Option<u64>,
}

const ENODEV: i32 = 19;
const EPROTO: i32 = 71;

fn failure(module: &str, errno: i32, why: String) -> Failure {
    Failure {
        errno,
        what: format!("cannot start {module}"),
        why,
        help: String::new(),
    }
}

impl Instance {
    /// Runs a module's `init`. Whatever a failed one has entered is taken out again.
    ///
    /// # Errors
    /// What the module says, or what is wrong with what it did.
    pub fn start(shared: &Arc<Shared>, making: Making) -> Result<Instance, Failure> {
        let name = making.module.name.clone();
        let link = Link::new(making.id, name.clone());
        let context = Context::new(shared.clone(), link.clone(), making.placement, making.home);
        let context = Box::new(context);
        let ion = Box::new(dispatch::table(&context));
        let mut instance = Instance {
            link,
            module: making.module,
            path: making.path,
            options: making.options,
            home: making.home,
            serves: making.serves,
            pointer: None,
            context,
            ion,
        };
        let result = instance.module.start(&instance.ion, &making.own_options);
        let why = match result {
            InitResult::Started(pointer) => {
                instance.pointer = Some(pointer);
                if !shared.registry().of_instance(making.id).is_empty() {
                    return Ok(instance);
                }
                instance.shutdown();
                (
                    ENODEV,
                    "it started, but entered nothing into the graph".into(),
                )
            }
            InitResult::Failed(errno) => (errno, instance.reason(errno)),
            InitResult::Rubbish(value) => {
                // It may still call: everything that it knows stays where it is.
                instance.module.keep_mapped();
                shared.registry().remove(making.id);
                std::mem::forget(instance);
                let text = format!(
                    "its init returned {value}, which is neither 0 nor a negative errno: the \
                     module is at fault"
                );
                return Err(failure(&name, EPROTO, text));
            }
        };
        shared.registry().remove(making.id);
        Err(failure(&name, why.0, why.1))
    }

    /// Why `init` failed: the module's words, io-net's own where it refused a registrant, or the
    /// errno's.
    fn reason(&self, errno: i32) -> String {
        let mut stage = self.context.stage();
        let said = stage.reason.take().map(|(_, text)| text);
        match (said, stage.refusal.take()) {
            (Some(said), Some(refusal)) => format!("{said} ({refusal})"),
            (Some(text), None) | (None, Some(text)) => text,
            (None, None) => std::io::Error::from_raw_os_error(errno).to_string(),
        }
    }

    /// Ends the time in which wishes are kept, and gives them.
    pub fn take_wishes(&self) -> Vec<Wish> {
        let mut stage = self.context.stage();
        stage.starting = false;
        std::mem::take(&mut stage.wishes)
    }

    /// Calls the module's `shutdown`. Its registrants are out of the graph, and every worker knows.
    pub fn shutdown(&mut self) {
        if let Some(pointer) = self.pointer.take() {
            self.module.end(pointer);
        }
    }
}
