//! Devctl requests in JSON.
//!
//! - `{"cmd":"show"}` gives `{"up":{"options","waiting"},"down":{...}}`;
//! - `{"cmd":"set","options":"loss=1%,delay=5ms"}`, with `"direction":"up"` or `"down"` for one
//!   only, replaces the options from the next packet on; those not given have their defaults.
//!   Chance starts anew from the seed. It answers as `show`.

use crate::fault::Fault;
use crate::settings::{Settings, direction};
use io_net_ddk::errno::EINVAL;
use io_net_ddk::{Failure, Options};
use serde_json::{Value, json};

/// Serves one request.
///
/// # Errors
/// EINVAL for a request that makes no sense.
pub(crate) fn request(fault: &mut Fault, text: &[u8], now_ns: u64) -> Result<String, Failure> {
    let request: Value = serde_json::from_slice(text)
        .map_err(|error| Failure::new(EINVAL, format!("the request is not JSON: {error}")))?;
    let word = |name| request.get(name).and_then(Value::as_str);
    match word("cmd") {
        Some("show") => {}
        Some("set") => {
            let options = word("options").ok_or_else(|| {
                Failure::new(
                    EINVAL,
                    "give the options: {\"cmd\":\"set\",\"options\":\"loss=1%\"}",
                )
            })?;
            let direction = direction(word("direction"))?;
            let settings = Settings::parse_all(Options::new(options))?;
            fault.set(&settings, direction, now_ns);
        }
        _ => {
            let text = "give {\"cmd\":\"show\"} or {\"cmd\":\"set\",\"options\":\"loss=1%\"}";
            return Err(Failure::new(EINVAL, text));
        }
    }
    Ok(show(fault).to_string())
}

fn show(fault: &Fault) -> Value {
    let [up, down] = fault
        .lines()
        .map(|line| json!({ "options": line.options(), "waiting": line.waiting() }));
    json!({ "up": up, "down": down })
}
