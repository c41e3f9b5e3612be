//! iceoryx2's request-response with 64 bytes each way, both sides polling.
//!
//! `peer-iceoryx2 rtt DIR COUNT` prints the round trip in nanoseconds, and ends `peer-iceoryx2 serve
//! DIR`: killed, it would leave shared memory behind. DIR is for its files.
#![forbid(unsafe_code)]

use iceoryx2::config::Config;
use iceoryx2::prelude::*;
use iceoryx2::service::port_factory::request_response::PortFactory;
use io_net_meter::{self as meter, SMALL};
use std::error::Error;

type Message = [u8; SMALL];
/// Ends the server.
const LAST: Message = [0; SMALL];

type Service = PortFactory<ipc::Service, Message, (), Message, ()>;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words[..] {
        ["serve", dir] => serve(&service(dir)?),
        ["rtt", dir, count] => rtt(&service(dir)?, count.parse()?),
        _ => Err("usage: peer-iceoryx2 serve DIR | rtt DIR COUNT".into()),
    }
}

fn service(dir: &str) -> Result<Service, Box<dyn Error>> {
    set_log_level(LogLevel::Error);
    let mut config = Config::default();
    config.global.set_root_path(&Path::new(dir.as_bytes())?);
    let node = NodeBuilder::new()
        .config(&config)
        .signal_handling_mode(SignalHandlingMode::Disabled)
        .create::<ipc::Service>()?;
    let service = node
        .service_builder(&"ping".try_into()?)
        .request_response::<Message, Message>()
        .open_or_create()?;
    Ok(service)
}

fn serve(service: &Service) -> Result<(), Box<dyn Error>> {
    let server = service.server_builder().create()?;
    println!("serving");
    loop {
        let Some(request) = server.receive()? else {
            std::hint::spin_loop();
            continue;
        };
        let answer = request.loan_uninit()?.write_payload(*request);
        answer.send()?;
        if *request == LAST {
            return Ok(());
        }
    }
}

fn rtt(service: &Service, count: usize) -> Result<(), Box<dyn Error>> {
    let client = service.client_builder().create()?;
    let trip = |message: Message| -> Result<(), Box<dyn Error>> {
        let pending = client.loan_uninit()?.write_payload(message).send()?;
        while pending.receive()?.is_none() {
            std::hint::spin_loop();
        }
        Ok(())
    };
    meter::round_trips(count, || trip([7; SMALL]))?;
    trip(LAST)
}
