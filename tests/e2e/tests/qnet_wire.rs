//! Qnet's frames, read by somebody else's program.

mod nodes;

use io_net_e2e::{Lab, Need, Outcome, lab};
use nodes::{Node, expect, two};

/// Two nodes talk while their link is recorded; what tshark says of each frame: its protocols and
/// what it is.
fn recorded(lab: &Lab, converter: &str, options: &str) -> Outcome<String> {
    let nets = two(lab)?;
    let dir = lab.dir().display();
    let file = format!("{dir}/wire.pcapng");
    lab.file("nodes", "west.lan 10.8.0.1\neast.lan 10.8.0.2\n")?;
    let start = |n: usize, name: &str, more: &str| {
        let converter = converter.replace("HOST", &(n + 1).to_string());
        let drivers = format!("-d pipe path={dir}/pipe {more} {converter}");
        Node::start(lab, &nets[n], name, &drivers, options)
    };
    let record = format!("-f capture above=en0,file={file}");
    let (west, east) = (start(0, "west", &record)?, start(1, "east", "")?);
    let server = east.serve("")?;
    for (what, wanted) in [
        ("echo 64 5", "echoed"),
        ("echo 100000", "echoed"),
        ("sum 50000", "summed"),
        ("get 50000", "got"),
        ("fail", "error 13"),
        ("event", "event"),
        ("pulse 1 2", "sent"),
        ("hold 2000", "status 42"),
        ("die", "error 3"),
    ] {
        expect(&west.call("east", &server, what)?, wanted)?;
    }
    west.ion.stop()?;
    east.ion.stop()?;
    let tshark = |filter: &str, fields: &[&str]| {
        let mut command = std::process::Command::new("tshark");
        command.args(["-r", &file, "-Y", filter, "-T", "fields"]);
        command.args(fields.iter().flat_map(|field| ["-e", field]));
        lab.output(&mut command)
    };
    let columns = ["frame.number", "_ws.col.Info"];
    let malformed = tshark("_ws.malformed || _ws.expert.severity == error", &columns)?;
    if !malformed.is_empty() {
        return Err(format!("tshark finds malformed frames:\n{malformed}"));
    }
    tshark("!arp", &["frame.protocols", "_ws.col.Info"])
}

/// Every frame was known for Qnet's.
fn all_known(said: &str) -> Outcome {
    let unknown = said.lines().find(|line| !line.contains(":lwl4"));
    match unknown {
        None if said.lines().count() > 20 => Ok(()),
        None => Err(format!("few frames were recorded: {said}")),
        Some(line) => Err(format!("tshark does not know `{line}`")),
    }
}

const NEEDS: &[Need] = &[Need::Stage, Need::Program("tshark")];

#[test]
fn without_security_every_message_can_be_read() {
    lab(NEEDS, |lab| {
        let said = recorded(lab, "", "security=none")?;
        all_known(&said)?;
        for message in [
            "\"east.lan\" is at",
            "TCS_INIT",
            "Connect MsgSend",
            "Connect Success",
            "MsgReply",
            "MsgError",
            "Fragmented",
            "Ack",
            "Disconnect",
        ] {
            expect(&said, message)?;
        }
        Ok(())
    });
}

#[test]
fn with_security_the_frames_can_still_be_told_apart() {
    lab(NEEDS, |lab| {
        let said = recorded(lab, "", "security=encrypted")?;
        all_known(&said)?;
        match said.contains("Connect MsgSend") {
            true => Err("messages are not enciphered".into()),
            false => Ok(()),
        }
    });
}

#[test]
fn over_ip_the_frames_are_the_same() {
    lab(NEEDS, |lab| {
        let options = format!(
            "bind=ip,resolve=file:{}/nodes,security=none",
            lab.dir().display()
        );
        let said = recorded(lab, "-n qnet-ip addr=10.8.0.HOST/24", &options)?;
        all_known(&said)?;
        expect(&said, "ip:lwl4")?;
        expect(&said, "Connect MsgSend")
    });
}
