//! Venues' codes for assets.

use cqar_domain::{
    entities::venue_asset::{VenueAsset, VenueAssetNetwork},
    id::{SystemIds, VenueAssetId},
    violation::Violation,
};

use super::{EntityMessage, arm};
use crate::{
    convert::{Reader, decimal_text, etag, id_text, mask::masked},
    v1,
};

impl From<&VenueAsset> for v1::VenueAsset {
    fn from(it: &VenueAsset) -> Self {
        Self {
            id: it.id.to_string(),
            venue_id: it.venue_id.to_string(),
            segment: it.segment.to_string(),
            code: it.code.clone(),
            asset_id: it.asset_id.to_string(),
            is_trading_enabled: Some(it.is_trading_enabled),
            listed_time: it.listed_time.map(Into::into),
            delisted_time: it.delisted_time.map(Into::into),
            networks: it.networks.iter().map(Into::into).collect(),
            revision: it.meta.revision,
            etag: etag(&it.meta),
            create_time: it.meta.create_time.map(Into::into),
            update_time: it.meta.update_time.map(Into::into),
        }
    }
}

impl From<&VenueAssetNetwork> for v1::VenueAssetNetwork {
    fn from(it: &VenueAssetNetwork) -> Self {
        Self {
            network: it.network.clone(),
            chain_id: id_text(it.chain_id.as_ref()),
            deployment_id: id_text(it.deployment_id.as_ref()),
            contract_address: it.contract_address.clone(),
            is_deposit_enabled: it.is_deposit_enabled,
            is_withdraw_enabled: it.is_withdraw_enabled,
            withdraw_fee: decimal_text(it.withdraw_fee.as_ref()),
            min_withdraw: decimal_text(it.min_withdraw.as_ref()),
            min_deposit: decimal_text(it.min_deposit.as_ref()),
            // Of 31 bits, as it was read.
            confirmations: it.confirmations.and_then(|count| count.try_into().ok()),
            is_memo_required: it.is_memo_required,
        }
    }
}

impl EntityMessage for v1::VenueAsset {
    type Entity = VenueAsset;

    const SAMPLE: &'static str = r#"{"id": "01890a5d-ac96-774b-bcce-b302099a8057", "venue_id": "sample", "asset_id":
        "01890a5d-ac96-774b-bcce-b302099a8058", "code": "SMPL"}"#;

    arm!(VenueAsset);

    fn label(&self) -> &str {
        &self.code
    }

    fn read(&mut self, reader: &mut Reader<'_>) -> Option<VenueAsset> {
        let id = reader.id(&self.id, VenueAssetId::new);
        let venue_id = reader.reference("venue_id", &mut self.venue_id);
        let segment = reader.found.take("segment", self.segment.parse());
        let asset_id = reader.reference("asset_id", &mut self.asset_id);
        let listed_time = reader.time("listed_time", self.listed_time);
        let delisted_time = reader.time("delisted_time", self.delisted_time);
        let networks = read_networks(reader, &mut self.networks);
        let meta = reader.meta(self.revision, [self.create_time, self.update_time, None]);
        Some(VenueAsset {
            id: id?,
            venue_id: venue_id?,
            segment: segment?,
            code: self.code.clone(),
            asset_id: asset_id?,
            is_trading_enabled: self.is_trading_enabled.unwrap_or(true),
            listed_time: listed_time?,
            delisted_time: delisted_time?,
            networks: networks?,
            meta: meta?,
        })
    }
}

fn read_networks(reader: &mut Reader<'_>, networks: &mut [v1::VenueAssetNetwork]) -> Option<Vec<VenueAssetNetwork>> {
    reader.all(networks.iter_mut().enumerate(), |reader, (n, network)| {
        reader.within(&format!("networks[{n}]"), |reader| read_network(reader, network))
    })
}

fn read_network(reader: &mut Reader<'_>, network: &mut v1::VenueAssetNetwork) -> Option<VenueAssetNetwork> {
    let chain_id = reader.optional_reference("chain_id", &mut network.chain_id);
    let deployment_id = reader.optional_reference("deployment_id", &mut network.deployment_id);
    let withdraw_fee = reader.optional("withdraw_fee", &network.withdraw_fee);
    let min_withdraw = reader.optional("min_withdraw", &network.min_withdraw);
    let min_deposit = reader.optional("min_deposit", &network.min_deposit);
    let confirmations = reader.natural("confirmations", network.confirmations);
    Some(VenueAssetNetwork {
        network: network.network.clone(),
        chain_id: chain_id?,
        deployment_id: deployment_id?,
        contract_address: network.contract_address.clone(),
        is_deposit_enabled: network.is_deposit_enabled,
        is_withdraw_enabled: network.is_withdraw_enabled,
        withdraw_fee: withdraw_fee?,
        min_withdraw: min_withdraw?,
        min_deposit: min_deposit?,
        confirmations: confirmations?,
        is_memo_required: network.is_memo_required,
    })
}

/// The networks as this registry stored them.
pub fn stored_networks(mut networks: Vec<v1::VenueAssetNetwork>) -> Result<Vec<VenueAssetNetwork>, Vec<Violation>> {
    let mut reader = Reader::of_stored(&SystemIds);
    let read = read_networks(&mut reader, &mut networks);
    reader.finish(read)
}

masked!(
    v1::VenueAsset: [asset_id, is_trading_enabled, listed_time, delisted_time, networks],
    [venue_id, segment, code]
);
