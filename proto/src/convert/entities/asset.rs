//! Assets.

use cqar_domain::entities::asset::{Asset, AssetType};

use super::{EntityMessage, arm};
use crate::{
    convert::{Reader, etag, mask::masked, same_variants},
    v1,
};

same_variants!(v1::AssetType, AssetType: Coin, Token, Stablecoin, Wrapped, Receipt, LpToken, Synthetic, Nft, Fiat,
    Commodity, Equity, Index, Unclassified);

impl From<&Asset> for v1::Asset {
    fn from(asset: &Asset) -> Self {
        Self {
            id: asset.id.to_string(),
            symbol: asset.symbol.clone(),
            name: asset.name.clone(),
            r#type: v1::AssetType::from(asset.asset_type).into(),
            category: asset.category.clone(),
            description: asset.description.clone(),
            logo_url: asset.logo_url.clone(),
            website_url: asset.website_url.clone(),
            labels: asset.labels.clone(),
            revision: asset.meta.revision,
            etag: etag(&asset.meta),
            create_time: asset.meta.create_time.map(Into::into),
            update_time: asset.meta.update_time.map(Into::into),
            delete_time: asset.meta.delete_time.map(Into::into),
        }
    }
}

impl EntityMessage for v1::Asset {
    type Entity = Asset;

    const SAMPLE: &'static str = r#"{"id": "01890a5d-ac96-774b-bcce-b302099a8057", "symbol": "SAMPLE", "name": "Sample", "type": "ASSET_TYPE_COIN"}"#;

    arm!(Asset);

    fn label(&self) -> &str {
        &self.symbol
    }

    fn read(&mut self, reader: &mut Reader<'_>) -> Option<Asset> {
        let id = reader.id(&self.id, cqar_domain::id::AssetId::new);
        let asset_type = reader.enumeration::<v1::AssetType, _>("type", self.r#type);
        let meta = reader.meta(self.revision, [self.create_time, self.update_time, self.delete_time]);
        Some(Asset {
            id: id?,
            symbol: self.symbol.clone(),
            name: self.name.clone(),
            asset_type: asset_type?,
            category: self.category.clone(),
            description: self.description.clone(),
            logo_url: self.logo_url.clone(),
            website_url: self.website_url.clone(),
            labels: self.labels.clone(),
            meta: meta?,
        })
    }
}

masked!(v1::Asset: [symbol, name, r#type as "type", category, description, logo_url, website_url, labels], []);
