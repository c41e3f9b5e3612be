//! gRPC by tonic: a unary call with 64 bytes each way.
//!
//! `peer-grpc serve ADDR:PORT` answers until it is killed; `peer-grpc rtt ADDR:PORT COUNT` prints the
//! round trip in nanoseconds. One thread each: for one call at a time that is the fastest.
#![forbid(unsafe_code)]

use bytes::{Buf, BufMut, Bytes};
use http::uri::PathAndQuery;
use io_net_meter::{self as meter, SMALL};
use std::convert::Infallible;
use std::error::Error;
use std::future::{Future, Ready, ready};
use std::pin::Pin;
use std::task::{Context, Poll};
use tonic::body::Body;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::server::{NamedService, UnaryService};
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Server};
use tonic::{Request, Response, Status};
use tower_service::Service;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    match words[..] {
        ["serve", address] => runtime.block_on(serve(address)),
        ["rtt", address, count] => {
            let mut client = runtime.block_on(connect(address))?;
            meter::round_trips(count.parse()?, || {
                runtime.block_on(call(&mut client)).map_err(Into::into)
            })
        }
        _ => Err("usage: peer-grpc serve ADDR:PORT | rtt ADDR:PORT COUNT".into()),
    }
}

async fn serve(address: &str) -> Result<(), Box<dyn Error>> {
    let incoming = TcpIncoming::bind(address.parse()?)?.with_nodelay(Some(true));
    println!("serving");
    let server = Server::builder().add_service(Echo);
    Ok(server.serve_with_incoming(incoming).await?)
}

async fn connect(address: &str) -> Result<tonic::client::Grpc<Channel>, Box<dyn Error>> {
    let channel = Channel::from_shared(format!("http://{address}"))?;
    Ok(tonic::client::Grpc::new(channel.connect().await?))
}

async fn call(client: &mut tonic::client::Grpc<Channel>) -> Result<(), Status> {
    let ready = client.ready().await;
    ready.map_err(|e| Status::unavailable(e.to_string()))?;
    let path = PathAndQuery::from_static("/bench.Echo/Echo");
    let request = Request::new(Bytes::from_static(&[7; SMALL]));
    let answer: Response<Bytes> = client.unary(request, path, Plain).await?;
    match answer.get_ref().len() {
        SMALL => Ok(()),
        other => Err(Status::internal(format!("{other} bytes came back"))),
    }
}

/// Answers every call with its own bytes.
#[derive(Clone)]
struct Echo;

impl NamedService for Echo {
    const NAME: &'static str = "bench.Echo";
}

impl UnaryService<Bytes> for Echo {
    type Response = Bytes;
    type Future = Ready<Result<Response<Bytes>, Status>>;

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        ready(Ok(Response::new(request.into_inner())))
    }
}

impl Service<http::Request<Body>> for Echo {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(async move { Ok(tonic::server::Grpc::new(Plain).unary(Echo, request).await) })
    }
}

/// Messages are their bytes.
#[derive(Clone, Copy, Default)]
struct Plain;

impl Codec for Plain {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Plain {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put(message);
        Ok(())
    }
}

impl Decoder for Plain {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        let len = from.remaining();
        Ok(Some(from.copy_to_bytes(len)))
    }
}
