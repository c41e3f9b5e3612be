//! Says how the module is linked.

fn main() {
    // AWS-LC leaves a destructor with each thread that has used it, which must be there when that ends.
    println!("cargo:rustc-link-arg-cdylib=-Wl,-z,nodelete");
    println!("cargo:rerun-if-changed=build.rs");
}
