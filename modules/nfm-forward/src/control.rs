//! Devctl requests in JSON.
//!
//! - `{"cmd":"list"}` gives `{"rules":[{"rule","packets","bytes","ready"},...]}`, in order; a rule
//!   is ready where the interfaces that it names are there;
//! - `{"cmd":"set","rules":["...",...]}` replaces all rules at once, and answers as `list`. A rule
//!   that was there before keeps its counts; where one is refused, all old ones stay.

use crate::table::Table;
use io_net_ddk::Failure;
use io_net_ddk::errno::EINVAL;
use serde_json::{Value, json};

/// Serves one request.
///
/// # Errors
/// EINVAL for a request that makes no sense, or rules that do not.
pub(crate) fn request(table: &mut Table, text: &[u8]) -> Result<String, Failure> {
    let request: Value = serde_json::from_slice(text)
        .map_err(|error| Failure::new(EINVAL, format!("the request is not JSON: {error}")))?;
    match request.get("cmd").and_then(Value::as_str) {
        Some("list") => {}
        Some("set") => {
            let rules = request.get("rules").and_then(Value::as_array);
            let texts: Option<Vec<&str>> =
                rules.and_then(|r| r.iter().map(Value::as_str).collect());
            let texts = texts.ok_or_else(|| {
                Failure::new(
                    EINVAL,
                    "give the rules: {\"cmd\":\"set\",\"rules\":[\"up+drop\"]}",
                )
            })?;
            table.replace(&texts)?;
        }
        _ => {
            let text = "give {\"cmd\":\"list\"} or {\"cmd\":\"set\",\"rules\":[...]}";
            return Err(Failure::new(EINVAL, text));
        }
    }
    Ok(list(table).to_string())
}

fn list(table: &Table) -> Value {
    let rules = table.rules().iter().map(|active| {
        json!({
            "rule": active.rule.text,
            "packets": active.packets,
            "bytes": active.bytes,
            "ready": active.is_ready(),
        })
    });
    json!({ "rules": rules.collect::<Vec<_>>() })
}
