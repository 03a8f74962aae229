//! Assets: what is traded, or what something is quoted or settled in.

use crate::{
    code::{CODE_SEPARATORS, has_date},
    entity::{Meta, TypedEntity, changed_fields},
    id::{AssetId, EntityKey, EntityType},
    text::{ASSET_SYMBOL, CATEGORY, DESCRIPTION, Labels, NAME, WEB, check_labels, check_url},
    violation::Violations,
};

/// A coin, a token, a currency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asset {
    /// Its id.
    pub id: AssetId,
    /// The ticker. Not unique.
    pub symbol: String,
    /// The full name.
    pub name: String,
    /// What sort of asset it is.
    pub asset_type: AssetType,
    /// A free-form category, or empty.
    pub category: String,
    /// Plain text, or empty.
    pub description: String,
    /// A URL, or empty.
    pub logo_url: String,
    /// A URL, or empty.
    pub website_url: String,
    /// The operator's labels.
    pub labels: Labels,
    /// Revision and times.
    pub meta: Meta,
}

/// The sorts of asset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the contract's asset.proto says what each is")]
pub enum AssetType {
    Coin,
    Token,
    Stablecoin,
    Wrapped,
    Receipt,
    LpToken,
    Synthetic,
    Nft,
    Fiat,
    Commodity,
    Equity,
    Index,
    Unclassified,
}

/// Notes what keeps `symbol` from being an asset's symbol.
pub fn check_asset_symbol(field: &str, symbol: &str, found: &mut Violations) {
    ASSET_SYMBOL.check(field, symbol, found);
    if symbol.contains(CODE_SEPARATORS) || symbol.contains(char::is_whitespace) {
        found.add(field, "INVALID_SYMBOL", "must not contain white space, `/`, `:` or `@`");
    } else if has_date(symbol) {
        found.add(
            field,
            "INVALID_SYMBOL",
            "must not have a part that looks like the expiry of a code, such as -261225",
        );
    }
}

impl TypedEntity for Asset {
    const TYPE: EntityType = EntityType::Asset;
    const SOFT_DELETE: bool = true;

    fn key(&self) -> EntityKey {
        EntityKey::Asset(self.id)
    }

    fn meta(&self) -> &Meta {
        &self.meta
    }

    fn meta_mut(&mut self) -> &mut Meta {
        &mut self.meta
    }

    fn check(&self, found: &mut Violations) {
        check_asset_symbol("symbol", &self.symbol, found);
        NAME.check("name", &self.name, found);
        CATEGORY.check("category", &self.category, found);
        DESCRIPTION.check("description", &self.description, found);
        check_url("logo_url", &self.logo_url, WEB, found);
        check_url("website_url", &self.website_url, WEB, found);
        check_labels(&self.labels, found);
    }

    changed_fields!(symbol, name, asset_type as "type", category, description, logo_url, website_url, labels);
}
