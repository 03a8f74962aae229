//! Generates the messages, clients and servers of `cqar.v1` with protox, so that nobody needs protoc.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message;

/// These answers leave the server as bytes that were encoded when they were cached: see `encoded.rs`.
/// The message of the contract, and the type that has its encoding.
const ENCODED: &[(&str, &str)] = &[
    ("ResolveMarketResponse", "EncodedAnswer"),
    ("BatchResolveMarketsResponse", "EncodedBatch"),
    ("FindMarketsResponse", "FindMarketsResponse"),
    ("ResolveDeploymentResponse", "EncodedAnswer"),
    ("BatchResolveDeploymentsResponse", "EncodedBatch"),
    ("ResolveIdentifierResponse", "EncodedAnswer"),
    ("BatchResolveIdentifiersResponse", "EncodedBatch"),
    ("ResolveVenueAssetResponse", "EncodedAnswer"),
    ("BatchResolveVenueAssetsResponse", "EncodedBatch"),
];

fn main() -> Result<(), Box<dyn Error>> {
    let mut files: Vec<PathBuf> =
        fs::read_dir("cqar/v1")?.map(|entry| Ok(entry?.path())).collect::<Result<_, std::io::Error>>()?;
    files.sort();
    // No message of the contract names these: they are the details of errors, which clients read by reflection.
    files.push("google/rpc/error_details.proto".into());
    println!("cargo:rerun-if-changed=cqar/v1");
    println!("cargo:rerun-if-changed=google/rpc");

    let descriptors = protox::compile(&files, ["."])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;

    let mut config = prost_build::Config::new();
    // Sorted maps make an encoding canonical: idempotent requests compare by it.
    config
        .btree_map(["."])
        .bytes([".cqar.v1.ImportListingRequest"])
        .extern_path(".google.protobuf.Timestamp", "crate::well_known::Timestamp")
        .extern_path(".google.protobuf.Duration", "crate::well_known::Duration")
        .extern_path(".google.protobuf.FieldMask", "crate::well_known::FieldMask")
        .extern_path(".google.protobuf.Any", "crate::rpc::Any")
        .extern_path(".google.rpc", "crate::rpc");
    tonic_prost_build::configure()
        .build_server(false)
        .emit_rerun_if_changed(false)
        .compile_fds_with_config(descriptors.clone(), config)?;

    let servers = out.join("servers");
    fs::create_dir_all(&servers)?;
    let mut config = prost_build::Config::new();
    config.extern_path(".google", "crate::unused");
    for (message, encoded) in ENCODED {
        config.extern_path(format!(".cqar.v1.{message}"), format!("crate::encoded::{encoded}"));
    }
    config.extern_path(".cqar.v1", "crate::v1");
    tonic_prost_build::configure()
        .build_client(false)
        .emit_rerun_if_changed(false)
        .out_dir(&servers)
        .compile_fds_with_config(descriptors.clone(), config)?;

    pbjson_build::Builder::new()
        .register_descriptors(&descriptors.encode_to_vec())?
        .preserve_proto_field_names()
        .btree_map(["."])
        .extern_path(".google.protobuf", "crate::well_known")
        .extern_path(".google.rpc", "crate::rpc")
        .build(&[".cqar.v1"])?;
    Ok(())
}
