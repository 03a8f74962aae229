//! Instruments: what is traded, apart from where.

use std::cmp::Ordering;

use crate::{
    decimal::Decimal,
    entity::{Meta, changed_fields},
    id::{AssetId, InstrumentId, Protocol},
    text::{Labels, check_labels},
    time::Date,
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
    Perpetual(Contract),
    /// A dated future.
    Future {
        /// What it is on.
        contract: Contract,
        /// The UTC date; the exact instant belongs to the market.
        expiry: Date,
    },
    /// The right to buy or sell.
    Option {
        /// What it is on.
        contract: Contract,
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
pub struct Contract {
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

    /// The assets that the terms name, with the field that does.
    pub fn assets(&self) -> Vec<(&'static str, AssetId)> {
        let field = |field: &'static str, id: Option<AssetId>| id.map(|id| (field, id));
        let base = match self.kind() {
            InstrumentKind::LendingDeposit | InstrumentKind::LendingBorrow => "underlying",
            _ => "base",
        };
        [field(base, Some(self.base())), field("quote", self.quote()), field("settle", self.settle())]
            .into_iter()
            .flatten()
            .collect()
    }

    /// A text that two terms share only if they are equal: the unique key of the instrument.
    pub fn unique_key(&self) -> String {
        let kind = self.kind().name();
        match self {
            Self::Spot { base, quote } => format!("{kind}:{base}:{quote}"),
            Self::Perpetual(c) => format!("{kind}:{}:{}:{}", c.base, c.quote, c.settle),
            Self::Future { contract: c, expiry } => format!("{kind}:{}:{}:{}:{expiry}", c.base, c.quote, c.settle),
            Self::Option { contract: c, expiry, strike, option_type, style } => {
                let side = option_type.letter();
                let style = style.name();
                format!("{kind}:{}:{}:{}:{expiry}:{strike}:{side}:{style}", c.base, c.quote, c.settle)
            }
            Self::LendingDeposit { underlying, protocol } | Self::LendingBorrow { underlying, protocol } => {
                format!("{kind}:{underlying}:{protocol}")
            }
        }
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

impl Instrument {
    pub(crate) fn check(&self, found: &mut Violations) {
        match &self.terms {
            Terms::Spot { base, quote } if base == quote => {
                found.add("spot.quote", "SAME_ASSET", "must be another asset than base");
            }
            Terms::Option { strike, .. } if strike.sign() != Ordering::Greater => {
                found.add("option.strike", "NOT_POSITIVE", "must be above 0");
            }
            _ => {}
        }
        check_labels(&self.labels, found);
    }
}

changed_fields!(Instrument: terms, code, labels);
