//! How a row of either database becomes a struct of its columns.

/// `sqlx::FromRow` of both databases: each column by the name of its field, and those after `or_none` only where they were selected. What
/// sqlx derives is the same; but its macros compile both drivers a second time, for the compiler itself.
macro_rules! from_row {
    ($struct:ident { $($field:ident),* $(,)? } $(or_none { $($optional:ident),* $(,)? })?) => {
        $crate::from_row::from_row!(@of sqlx::sqlite::SqliteRow, $struct { $($field),* } { $($($optional),*)? });
        $crate::from_row::from_row!(@of sqlx::postgres::PgRow, $struct { $($field),* } { $($($optional),*)? });
    };
    (@of $row:ty, $struct:ident { $($field:ident),* } { $($optional:ident),* }) => {
        impl<'r> sqlx::FromRow<'r, $row> for $struct {
            #[allow(unused_variables, reason = "a row of which nothing is read")]
            fn from_row(row: &'r $row) -> Result<Self, sqlx::Error> {
                #[allow(unused_imports, reason = "as above")]
                use sqlx::Row as _;
                Ok(Self {
                    $($field: row.try_get(stringify!($field))?,)*
                    $($optional: match row.try_get(stringify!($optional)) {
                        Err(sqlx::Error::ColumnNotFound(_)) => None,
                        read => read?,
                    },)*
                })
            }
        }
    };
}

pub(crate) use from_row;
