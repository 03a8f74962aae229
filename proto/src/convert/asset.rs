//! Assets.

use cqar_domain::{
    asset::{Asset, AssetType},
    entity::Meta,
};

use super::{Reader, etag, same_variants};
use crate::v1;

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

impl Reader<'_> {
    /// Reads an asset. Output-only fields are left out.
    pub fn asset(&mut self, message: v1::Asset) -> Option<Asset> {
        let id = self.id(&message.id, cqar_domain::id::AssetId::new);
        let asset_type = self.enumeration::<v1::AssetType, _>("type", message.r#type);
        Some(Asset {
            id: id?,
            symbol: message.symbol,
            name: message.name,
            asset_type: asset_type?,
            category: message.category,
            description: message.description,
            logo_url: message.logo_url,
            website_url: message.website_url,
            labels: message.labels,
            meta: Meta::default(),
        })
    }
}
