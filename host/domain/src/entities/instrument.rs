//! Instruments: what is traded, apart from where.

use std::cmp::Ordering;

use crate::{
    decimal::Decimal,
    entity::{Meta, ReferenceField, TypedEntity, changed_fields},
    id::{AssetId, EntityKey, EntityType, InstrumentId, Protocol},
    text::{Labels, check_labels},
    time::Date,
    unique_key::UniqueKey,
    violation::Violations,
};

/// A kind of instrument and its terms, which are immutable and unique.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instrument {
    /// Its id.
    pub id: InstrumentId,
    /// What it is.
    pub terms: Terms,
    /// The canonical code, derived from the terms and today's symbols; empty until it is read from the registry.
    pub code: String,
    /// The operator's labels.
    pub labels: Labels,
    /// Revision and times.
    pub meta: Meta,
}

/// What an instrument is. Linear, inverse and quanto follow from settle = quote, = base, or neither.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Terms {
    /// One asset for another, now.
    Spot {
        /// What is bought.
        base: AssetId,
        /// What is paid.
        quote: AssetId,
    },
    /// A future without expiry.
    Perpetual(DerivativeAssets),
    /// A dated future.
    Future {
        /// What it is on.
        contract: DerivativeAssets,
        /// The UTC date; the exact instant belongs to the market.
        expiry: Date,
    },
    /// The right to buy or sell.
    Option {
        /// What it is on.
        contract: DerivativeAssets,
        /// The UTC date.
        expiry: Date,
        /// The price in quote.
        strike: Decimal,
        /// Call or put.
        option_type: OptionType,
        /// When it may be exercised.
        style: ExerciseStyle,
    },
    /// A deposit with a lending protocol.
    LendingDeposit {
        /// What is lent.
        underlying: AssetId,
        /// The protocol's market.
        protocol: Protocol,
    },
    /// A loan from a lending protocol.
    LendingBorrow {
        /// What is lent.
        underlying: AssetId,
        /// The protocol's market.
        protocol: Protocol,
    },
}

/// The assets of a derivative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DerivativeAssets {
    /// The underlying.
    pub base: AssetId,
    /// What the price is in.
    pub quote: AssetId,
    /// What profit and loss are paid in.
    pub settle: AssetId,
}

/// The kinds of instrument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "named as the variants of Terms")]
pub enum InstrumentKind {
    Spot,
    Perpetual,
    Future,
    Option,
    LendingDeposit,
    LendingBorrow,
}

/// Call or put.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the field's own words")]
pub enum OptionType {
    Call,
    Put,
}

/// When an option may be exercised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ExerciseStyle {
    /// At expiry only.
    European,
    /// At any time until expiry.
    American,
}

impl InstrumentKind {
    /// The name in keys and plugins' readings.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Spot => "spot",
            Self::Perpetual => "perpetual",
            Self::Future => "future",
            Self::Option => "option",
            Self::LendingDeposit => "lending_deposit",
            Self::LendingBorrow => "lending_borrow",
        }
    }

    /// The kind of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Spot, Self::Perpetual, Self::Future, Self::Option, Self::LendingDeposit, Self::LendingBorrow]
            .into_iter()
            .find(|kind| kind.name() == name)
    }

    /// Whether its contracts end at an instant.
    pub const fn is_dated(self) -> bool {
        matches!(self, Self::Future | Self::Option)
    }
}

impl Terms {
    /// The kind.
    pub const fn kind(&self) -> InstrumentKind {
        match self {
            Self::Spot { .. } => InstrumentKind::Spot,
            Self::Perpetual(_) => InstrumentKind::Perpetual,
            Self::Future { .. } => InstrumentKind::Future,
            Self::Option { .. } => InstrumentKind::Option,
            Self::LendingDeposit { .. } => InstrumentKind::LendingDeposit,
            Self::LendingBorrow { .. } => InstrumentKind::LendingBorrow,
        }
    }

    /// The base or underlying asset.
    pub const fn base(&self) -> AssetId {
        match self {
            Self::Spot { base, .. } => *base,
            Self::Perpetual(c) | Self::Future { contract: c, .. } | Self::Option { contract: c, .. } => c.base,
            Self::LendingDeposit { underlying, .. } | Self::LendingBorrow { underlying, .. } => *underlying,
        }
    }

    /// The quote asset; none for lending.
    pub const fn quote(&self) -> Option<AssetId> {
        match self {
            Self::Spot { quote, .. } => Some(*quote),
            Self::Perpetual(c) | Self::Future { contract: c, .. } | Self::Option { contract: c, .. } => Some(c.quote),
            Self::LendingDeposit { .. } | Self::LendingBorrow { .. } => None,
        }
    }

    /// The settle asset of a derivative.
    pub const fn settle(&self) -> Option<AssetId> {
        match self {
            Self::Perpetual(c) | Self::Future { contract: c, .. } | Self::Option { contract: c, .. } => Some(c.settle),
            Self::Spot { .. } | Self::LendingDeposit { .. } | Self::LendingBorrow { .. } => None,
        }
    }

    /// The UTC date of expiry of a dated kind.
    pub const fn expiry(&self) -> Option<Date> {
        match self {
            Self::Future { expiry, .. } | Self::Option { expiry, .. } => Some(*expiry),
            Self::Spot { .. } | Self::Perpetual(_) | Self::LendingDeposit { .. } | Self::LendingBorrow { .. } => None,
        }
    }

    /// The assets that the terms name, with the path of the field that does, such as `spot.base_asset_id`.
    pub fn assets(&self) -> Vec<(&'static str, AssetId)> {
        self.clone().assets_mut().into_iter().map(|(field, id)| (field, *id)).collect()
    }

    /// The same, to be replaced.
    fn assets_mut(&mut self) -> Vec<(&'static str, &mut AssetId)> {
        match self {
            Self::Spot { base, quote } => vec![("spot.base_asset_id", base), ("spot.quote_asset_id", quote)],
            Self::Perpetual(DerivativeAssets { base, quote, settle }) => {
                vec![
                    ("perpetual.base_asset_id", base),
                    ("perpetual.quote_asset_id", quote),
                    ("perpetual.settle_asset_id", settle),
                ]
            }
            Self::Future { contract: DerivativeAssets { base, quote, settle }, .. } => {
                vec![
                    ("future.base_asset_id", base),
                    ("future.quote_asset_id", quote),
                    ("future.settle_asset_id", settle),
                ]
            }
            Self::Option { contract: DerivativeAssets { base, quote, settle }, .. } => {
                vec![
                    ("option.base_asset_id", base),
                    ("option.quote_asset_id", quote),
                    ("option.settle_asset_id", settle),
                ]
            }
            Self::LendingDeposit { underlying, .. } => vec![("lending_deposit.underlying_asset_id", underlying)],
            Self::LendingBorrow { underlying, .. } => vec![("lending_borrow.underlying_asset_id", underlying)],
        }
    }

    /// What two terms share only if they are equal: the unique key of the instrument.
    pub fn unique_key(&self) -> UniqueKey {
        let mut parts = vec![self.kind().name().to_owned(), self.base().to_string()];
        parts.extend([self.quote(), self.settle()].into_iter().flatten().map(|id| id.to_string()));
        parts.extend(self.expiry().map(|date| date.to_string()));
        match self {
            Self::Option { strike, option_type, style, .. } => {
                parts.extend([strike.to_string(), option_type.letter().to_string(), style.name().to_owned()]);
            }
            Self::LendingDeposit { protocol, .. } | Self::LendingBorrow { protocol, .. } => {
                parts.push(protocol.to_string());
            }
            Self::Spot { .. } | Self::Perpetual(_) | Self::Future { .. } => {}
        }
        UniqueKey::new("instrument.terms", &parts.iter().map(String::as_str).collect::<Vec<_>>())
    }
}

impl OptionType {
    /// `C` or `P`, as in canonical codes.
    pub const fn letter(self) -> char {
        match self {
            Self::Call => 'C',
            Self::Put => 'P',
        }
    }
}

impl ExerciseStyle {
    /// The name in keys.
    pub const fn name(self) -> &'static str {
        match self {
            Self::European => "european",
            Self::American => "american",
        }
    }
}

impl TypedEntity for Instrument {
    const TYPE: EntityType = EntityType::Instrument;
    const SOFT_DELETE: bool = true;

    fn key(&self) -> EntityKey {
        EntityKey::Instrument(self.id)
    }

    fn meta(&self) -> &Meta {
        &self.meta
    }

    fn meta_mut(&mut self) -> &mut Meta {
        &mut self.meta
    }

    fn check(&self, found: &mut Violations) {
        match &self.terms {
            Terms::Spot { base, quote } if base == quote => {
                found.add("spot.quote_asset_id", "SAME_ASSET", "must be another asset than base");
            }
            Terms::Option { strike, .. } if strike.sign() != Ordering::Greater => {
                found.add("option.strike", "NOT_POSITIVE", "must be above 0");
            }
            _ => {}
        }
        check_labels(&self.labels, found);
    }

    changed_fields!(terms, code, labels);

    fn unique_keys(&self) -> Vec<(&'static str, UniqueKey)> {
        vec![("terms", self.terms.unique_key())]
    }

    fn visit_references(&self, visit: &mut dyn FnMut(&'static str, EntityKey)) {
        for (field, asset) in self.terms.assets() {
            visit(field, asset.into());
        }
    }

    fn replace_references(&mut self, replace: &dyn Fn(&EntityKey) -> Option<EntityKey>) {
        for (_, asset) in self.terms.assets_mut() {
            asset.replace(replace);
        }
    }
}
