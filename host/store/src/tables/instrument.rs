//! Table `instruments`. The canonical code follows from the terms and today's symbols: a write that changes a symbol changes
//! the instruments whose code it is part of in the same revision, so the column never disagrees with the symbols.

use cqar_domain::{
    decimal::Decimal,
    entities::instrument::{DerivativeAssets, ExerciseStyle, Instrument, InstrumentKind, OptionType, Terms},
    id::{AssetId, EntityType, InstrumentId},
    time::Date,
};
use cqar_proto::v1;

use super::{Table, json_value, meta_values, time_value};
use crate::{
    filter::{Condition, Filter},
    row::RowReader,
    schema::{IndexedFilter, Reference},
    value::Value,
};

/// Which instruments to list; an absent field is no condition.
#[derive(Debug, Clone, Default)]
pub struct InstrumentFilter {
    /// The kind.
    pub kind: Option<InstrumentKind>,
    /// The base or underlying.
    pub base_asset_id: Option<AssetId>,
    /// The quote.
    pub quote_asset_id: Option<AssetId>,
    /// The settle.
    pub settle_asset_id: Option<AssetId>,
    /// The first and the last date of expiry.
    pub expiry: [Option<Date>; 2],
    /// The lowest and the highest strike.
    pub strike: [Option<Decimal>; 2],
    /// The canonical code.
    pub code: Option<String>,
    /// Deleted ones too.
    pub show_deleted: bool,
}

impl From<InstrumentFilter> for Filter {
    fn from(filter: InstrumentFilter) -> Self {
        let ([from_date, until_date], [lowest, highest]) = (filter.expiry, filter.strike);
        Self::of(Instrument::SCHEMA)
            .and_text("kind", filter.kind.map(InstrumentKind::name))
            .and("base_asset_id", filter.base_asset_id.map(|id| Value::Uuid(id.uuid())))
            .and("quote_asset_id", filter.quote_asset_id.map(|id| Value::Uuid(id.uuid())))
            .and("settle_asset_id", filter.settle_asset_id.map(|id| Value::Uuid(id.uuid())))
            .and_text("code", filter.code)
            .and_that(Condition::AtLeast("expiry"), from_date)
            .and_that(Condition::AtMost("expiry"), until_date)
            .and_that(Condition::DecimalAtLeast("strike"), lowest)
            .and_that(Condition::DecimalAtMost("strike"), highest)
            .show_deleted(filter.show_deleted)
    }
}

impl Table for Instrument {
    const NAME: &'static str = "instruments";
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "kind",
        "base_asset_id",
        "quote_asset_id",
        "settle_asset_id",
        "expiry",
        "strike",
        "option_type",
        "exercise_style",
        "protocol",
        "code",
        "labels",
        "revision",
        "create_us",
        "update_us",
        "delete_us",
    ];
    const REFERENCES: &'static [Reference] = &[
        Reference::by("base_asset_id", EntityType::Asset, "instruments_base"),
        Reference::by("quote_asset_id", EntityType::Asset, "instruments_quote"),
        // What settles in its quote is found by that.
        Reference {
            only: Some("e.settle_asset_id <> e.quote_asset_id"),
            ..Reference::by("settle_asset_id", EntityType::Asset, "instruments_settle")
        },
    ];
    const FOREIGN_KEYS: bool = false;
    const FILTERS: &'static [IndexedFilter] = &[
        IndexedFilter::by(&["code"], "instruments_code"),
        IndexedFilter::by(&["base_asset_id"], "instruments_base"),
        IndexedFilter::by(&["quote_asset_id"], "instruments_quote"),
    ];

    /// So are the indexes by assets, nearly: the code begins with their symbols.
    fn write_order(&self) -> &str {
        &self.code
    }

    fn values(&self) -> Vec<Value> {
        let [revision, create, update] = meta_values(&self.meta);
        let (option_type, style) = match &self.terms {
            Terms::Option { option_type, style, .. } => {
                let option_type = v1::OptionType::from(*option_type).as_str_name();
                (Some(option_type.to_owned()), Some(v1::ExerciseStyle::from(*style).as_str_name().to_owned()))
            }
            _ => (None, None),
        };
        let strike = match &self.terms {
            Terms::Option { strike, .. } => Some(strike.to_string()),
            _ => None,
        };
        let protocol = match &self.terms {
            Terms::LendingDeposit { protocol, .. } | Terms::LendingBorrow { protocol, .. } => {
                Some(protocol.to_string())
            }
            _ => None,
        };
        vec![
            Value::Uuid(self.id.uuid()),
            Value::Text(self.terms.kind().name().to_owned()),
            Value::Uuid(self.terms.base().uuid()),
            Value::OptUuid(self.terms.quote().map(AssetId::uuid)),
            Value::OptUuid(self.terms.settle().map(AssetId::uuid)),
            Value::OptText(self.terms.expiry().map(|date| date.to_string())),
            Value::OptText(strike),
            Value::OptText(option_type),
            Value::OptText(style),
            Value::OptText(protocol),
            Value::Text(self.code.clone()),
            json_value(&self.labels),
            revision,
            create,
            update,
            time_value(self.meta.delete_time),
        ]
    }

    fn read(row: &mut RowReader<'_>) -> Result<Self, String> {
        Ok(Self {
            id: row.id(InstrumentId::from_uuid)?,
            terms: terms(row)?,
            code: row.value()?,
            labels: row.json()?,
            meta: row.meta()?,
        })
    }
}

fn terms(row: &mut RowReader<'_>) -> Result<Terms, String> {
    let kind = row.value::<String>()?;
    let kind = InstrumentKind::from_name(&kind).ok_or_else(|| row.says(format!("no value named {kind}")))?;
    let base = row.id(AssetId::from_uuid)?;
    let quote = row.id_optional(AssetId::from_uuid)?;
    let settle = row.id_optional(AssetId::from_uuid)?;
    let expiry = row.parsed_optional()?;
    let strike = row.parsed_optional()?;
    let option_type = row.named_optional::<_, OptionType>(v1::OptionType::from_str_name)?;
    let style = row.named_optional::<_, ExerciseStyle>(v1::ExerciseStyle::from_str_name)?;
    let protocol = row.parsed_optional()?;
    let contract = quote.zip(settle).map(|(quote, settle)| DerivativeAssets { base, quote, settle });
    let terms = match kind {
        InstrumentKind::Spot => quote.map(|quote| Terms::Spot { base, quote }),
        InstrumentKind::Perpetual => contract.map(Terms::Perpetual),
        InstrumentKind::Future => contract.zip(expiry).map(|(contract, expiry)| Terms::Future { contract, expiry }),
        InstrumentKind::Option => contract.zip(expiry).zip(strike).zip(option_type.zip(style)).map(
            |(((contract, expiry), strike), (option_type, style))| Terms::Option {
                contract,
                expiry,
                strike,
                option_type,
                style,
            },
        ),
        InstrumentKind::LendingDeposit => protocol.map(|protocol| Terms::LendingDeposit { underlying: base, protocol }),
        InstrumentKind::LendingBorrow => protocol.map(|protocol| Terms::LendingBorrow { underlying: base, protocol }),
    };
    terms.ok_or_else(|| format!("a term of a {} is missing", kind.name()))
}
