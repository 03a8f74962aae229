//! The starter dataset: well-known assets, chains, venues and markets. It is compiled in, so that it is there wherever the binary is.

use std::path::Path;

use cqar_proto::v1::ApplyRequest;

use crate::mutations::{self, MutationsError};

macro_rules! files {
    ($($name:literal)*) => {
        /// The files, in the order in which they are applied.
        const FILES: &[(&str, &str)] = &[$(($name, include_str!(concat!("../../../config/starter/", $name)))),*];
    };
}

files! {
    "10-assets.yaml"
    "20-chains.yaml"
    "25-deployments.yaml"
    "26-relationships.yaml"
    "27-identifiers.yaml"
    "28-groups.yaml"
    "30-venues.yaml"
    "40-venue-assets.yaml"
    "50-instruments.yaml"
    "60-binance.yaml"
    "61-coinbase.yaml"
    "62-kraken.yaml"
    "63-okx.yaml"
    "64-bybit.yaml"
    "65-bitmex.yaml"
    "66-deribit.yaml"
    "67-hyperliquid.yaml"
    "68-uniswap-v3.yaml"
    "69-aave-v3.yaml"
}

/// The dataset of a directory, or the one that is compiled in.
pub fn read(dir: Option<&Path>) -> Result<ApplyRequest, MutationsError> {
    match dir {
        Some(dir) => mutations::read_directory(dir),
        None => mutations::together(FILES.iter().map(|(name, text)| (Path::new(name), text))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_dataset_is_compiled_in() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/starter");
        assert_eq!(read(None).unwrap(), read(Some(&dir)).unwrap());
    }
}
