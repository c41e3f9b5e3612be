//! One server, any number of clients: `weather serve`, then `weather ask [NAME]`.
//!
//! NAME may be on another node: `weather ask /net/lab2/dev/name/local/weather`.

use io_net_msg::name::{self, Scope};
use io_net_msg::pulse::CODE_DISCONNECT;
use io_net_msg::{Incoming, Result, handle};

fn serve() -> Result<()> {
    let (channel, _name) = name::attach("weather", Scope::Local)?;
    let mut asked = 0;
    loop {
        let mut city = [0; 64];
        match channel.receive(&mut city)? {
            Incoming::Message(message) => {
                asked += 1;
                let (who, len) = (message.info(), message.len());
                let city = String::from_utf8_lossy(&city[..len]);
                let answer = format!("{city}: sunny, 21 degrees (question {asked})");
                println!("process {} on node {} asks for {city}", who.pid, who.nd);
                // It fails where the client has gone meanwhile.
                let _ = message.reply(0, answer.as_bytes());
            }
            Incoming::Pulse(pulse) if pulse.code == CODE_DISCONNECT => {
                handle::connect_detach(pulse.scoid)?;
            }
            Incoming::Pulse(_) => {}
        }
    }
}

fn ask(name: &str) -> Result<()> {
    let server = name::open(name, false)?;
    for city in ["Ottawa", "Berlin"] {
        let mut answer = [0; 100];
        let reply = server.send(city.as_bytes(), &mut answer)?;
        println!("{}", String::from_utf8_lossy(&answer[..reply.len]));
    }
    Ok(())
}

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    match (args.next().as_deref(), args.next()) {
        (Some("serve"), None) => serve(),
        (Some("ask"), name) => ask(name.as_deref().unwrap_or("weather")),
        _ => panic!("usage: weather serve | weather ask [NAME]"),
    }
}
