//! Nodes with Qnet, and the two ends of message passing on them.

// Each test program uses its part of this.
#![allow(dead_code)]

use io_net_e2e::{IoNet, Lab, Namespace, Outcome, Program, holds_within};
use std::process::Command;
use std::time::Duration;

/// Generous, for loaded machines.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// One node: an io-net with Qnet.
pub(crate) struct Node<'a> {
    pub(crate) ion: IoNet<'a>,
    pub(crate) name: String,
    lab: &'a Lab,
    net: &'a Namespace,
}

/// A server on a node.
pub(crate) struct Server {
    pub(crate) program: Program,
    pub(crate) pid: String,
    pub(crate) chid: String,
}

impl<'a> Node<'a> {
    /// Starts node `name`: drivers (`-d ...`) and further options of Qnet.
    pub(crate) fn start(
        lab: &'a Lab,
        net: &'a Namespace,
        name: &str,
        drivers: &str,
        options: &str,
    ) -> Outcome<Self> {
        let at = lab.dir().join(name);
        let files = format!("key={}.key,known={}.known", at.display(), at.display());
        let more = match options {
            "" => String::new(),
            more => format!(",{more}"),
        };
        let line = format!("{drivers} -p qnet host={name},domain=lan,{files}{more}");
        Ok(Node {
            ion: lab.io_net(net, &line)?,
            name: name.to_owned(),
            lab,
            net,
        })
    }

    /// A command with the test's own program, on this node.
    pub(crate) fn peer(&self, line: &str) -> Command {
        self.command(env!("CARGO_BIN_EXE_qnet-peer"), line)
    }

    /// A program of this node.
    pub(crate) fn command(&self, program: &str, line: &str) -> Command {
        let mut command = self.net.command(program);
        command.env("SOCK", self.ion.run_dir());
        command.args(line.split_whitespace());
        command
    }

    /// Starts a server; `how` may be `plain`.
    pub(crate) fn serve(&self, how: &str) -> Outcome<Server> {
        let mut program = self.lab.start(&mut self.peer(&format!("serve {how}")))?;
        program.wait_printed("serving", LIMIT)?;
        let printed = program.printed();
        let mut words = printed.split_whitespace().skip(1);
        let mut word = || words.next().unwrap_or_default().to_owned();
        let (pid, chid) = (word(), word());
        Ok(Server { program, pid, chid })
    }

    /// Calls `server`, which is on node `on`, and gives what the client printed.
    pub(crate) fn call(&self, on: &str, server: &Server, what: &str) -> Outcome<String> {
        let (pid, chid) = (&server.pid, &server.chid);
        self.start_call(on, server, what)?
            .finish(LIMIT)
            .map_err(|why| format!("call {on} {pid} {chid} {what}: {why}"))
    }

    /// Starts such a call.
    pub(crate) fn start_call(&self, on: &str, server: &Server, what: &str) -> Outcome<Program> {
        let (pid, chid) = (&server.pid, &server.chid);
        let mut command = self.peer(&format!("call {on} {pid} {chid} {what}"));
        self.lab.start(&mut command)
    }

    /// Waits until this node knows that node `name` is up, or that it is not.
    pub(crate) fn sees(&self, name: &str, state: &str) -> Outcome {
        let what = format!("{} to see {name} {state}", self.name);
        let line = format!(" {name}.lan ");
        holds_within(LIMIT, &what, || {
            let nodes = self.ion.ctl("qnet nodes").unwrap_or_default();
            let mut lines = nodes.lines().filter(|l| l.contains(&line));
            lines.any(|l| l.split_whitespace().any(|word| word == state))
        })
    }

    /// A counter of registrant `qnet`.
    pub(crate) fn counter(&self, name: &str) -> Outcome<u64> {
        let stats = self.ion.stats()?;
        let value = &stats["counters"]["qnet"][name];
        value.as_u64().ok_or_else(|| format!("no counter {name}"))
    }
}

/// Two nodes, `west` and `east`, joined by as many pipes as `links` says.
pub(crate) fn pair<'a>(
    lab: &'a Lab,
    nets: &'a [Namespace; 2],
    links: usize,
    options: &str,
) -> Outcome<(Node<'a>, Node<'a>)> {
    let pipe = |n: usize| format!("-d pipe path={}/pipe{n}", lab.dir().display());
    let drivers: Vec<String> = (0..links).map(pipe).collect();
    let drivers = drivers.join(" ");
    let west = Node::start(lab, &nets[0], "west", &drivers, options)?;
    let east = Node::start(lab, &nets[1], "east", &drivers, options)?;
    Ok((west, east))
}

/// Two namespaces.
pub(crate) fn two(lab: &Lab) -> Outcome<[Namespace; 2]> {
    Ok([lab.namespace()?, lab.namespace()?])
}

/// Whether what was printed is what was wanted.
pub(crate) fn expect(printed: &str, wanted: &str) -> Outcome {
    match printed.contains(wanted) {
        true => Ok(()),
        false => Err(format!("`{wanted}` was wanted, `{printed}` printed")),
    }
}
