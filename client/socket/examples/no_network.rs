//! Serves sockets that connect only to each other, to try programs under the shim without an io-net:
//! prints the directory for `SOCK` and runs until its input ends.

#[path = "../tests/fake/mod.rs"]
mod fake;

fn main() {
    let fake = fake::Fake::start();
    println!("{}", fake.directory().display());
    let mut line = String::new();
    while std::io::stdin().read_line(&mut line).is_ok_and(|n| n > 0) {
        println!("{} sockets", fake.sockets());
    }
}
