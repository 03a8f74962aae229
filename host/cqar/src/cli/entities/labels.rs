//! What the entities are called that others refer to: tables show symbols and codes, as nobody knows ids by heart.

use std::collections::{BTreeSet, HashMap};

use cqar_proto::v1::{
    BatchGetAssetsRequest, BatchGetInstrumentsRequest, batch_get_assets_response, batch_get_instruments_response,
};

use crate::cli::{client::Connection, error::CliError};

/// The most ids of one call.
const BATCH: usize = 1000;

/// What entities are called, by their ids.
#[derive(Debug, Default)]
pub struct Labels(HashMap<String, String>);

macro_rules! labels {
    ($($(#[doc = $doc:literal])* $name:ident: $server:ident.$method:ident($request:ident.$ids:ident)
        -> $response:ident::$found:ident.$label:ident;)*) => {
        impl Labels {
            $(
                $(#[doc = $doc])*
                pub async fn $name(
                    server: &Connection,
                    ids: impl IntoIterator<Item = String>,
                ) -> Result<Self, CliError> {
                    let ids: Vec<String> = ids.into_iter().collect::<BTreeSet<_>>().into_iter().collect();
                    let mut labels = Self::default();
                    for $ids in ids.chunks(BATCH).map(<[String]>::to_vec) {
                        let request = $request { $ids, ..$request::default() };
                        let results = server.$server().$method(request).await?.into_inner().results;
                        labels.0.extend(results.into_iter().filter_map(|it| match it.result {
                            Some($response::result::Result::$found(it)) => Some((it.id, it.$label)),
                            _ => None,
                        }));
                    }
                    Ok(labels)
                }
            )*
        }
    };
}

labels! {
    /// The symbols of assets.
    assets: assets.batch_get_assets(BatchGetAssetsRequest.asset_ids) -> batch_get_assets_response::Asset.symbol;
    /// The codes of instruments.
    instruments: instruments.batch_get_instruments(BatchGetInstrumentsRequest.instrument_ids)
        -> batch_get_instruments_response::Instrument.code;
}

impl Labels {
    /// What it is called; its id where that is not known.
    pub fn of(&self, id: &str) -> String {
        self.0.get(id).map_or(id, String::as_str).to_owned()
    }
}
