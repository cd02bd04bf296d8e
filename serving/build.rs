//! Compiles the protocols with protox: no `protoc` is needed.

use std::error::Error;
use std::path::PathBuf;

use prost::Message as _;

const PROTOS: [&str; 3] = [
    "foretell/v1/prediction.proto",
    "foretell/v1/features.proto",
    "open_inference_grpc.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let descriptors = protox::compile(PROTOS, ["proto"])?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure()
        .btree_map(".foretell.v1")
        .compile_fds(descriptors)?;
    Ok(())
}
