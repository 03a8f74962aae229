//! `cqar.v1.InstrumentService`

use std::cmp::Ordering;

use cqar_domain::decimal::Decimal;
use cqar_proto::{
    convert,
    server::instrument_service_server::InstrumentService,
    v1::{self, get_instrument_request::Key},
};
use cqar_registry::{Error, PageRequest, Revisioned, filters::InstrumentFilter};
use tonic::{Request, async_trait};

use super::{Api, Reply, answered};
use crate::{
    memory::{AnswerBudget, received},
    reads::{batch_result, given, given_id, message, read_revision},
    status::{invalid, malformed, status},
    writes::entity_writes,
};

#[async_trait]
impl InstrumentService for Api {
    async fn create_instrument(
        &self,
        request: Request<v1::CreateInstrumentRequest>,
    ) -> Reply<v1::CreateInstrumentResponse> {
        self.write(request).await
    }

    async fn get_instrument(&self, request: Request<v1::GetInstrumentRequest>) -> Reply<v1::Instrument> {
        let v1::GetInstrumentRequest { key, min_revision, at_revision } = received(request)?;
        match key {
            Some(Key::InstrumentId(id)) => self.get(&id, min_revision, at_revision).await,
            Some(Key::Code(code)) => {
                let min_revision = read_revision(min_revision, at_revision)?;
                let Revisioned { revision, value } =
                    self.registry.instrument_by_code(code, min_revision).await.map_err(status)?;
                Ok(answered(Revisioned { revision, value: message(&value)? }))
            }
            None => Err(status(invalid("instrument_id", "REQUIRED", "either instrument_id or code must be given"))),
        }
    }

    async fn batch_get_instruments(
        &self,
        request: Request<v1::BatchGetInstrumentsRequest>,
    ) -> Reply<v1::BatchGetInstrumentsResponse> {
        let budget = AnswerBudget::of(&request);
        let v1::BatchGetInstrumentsRequest { instrument_ids, min_revision, at_revision } = received(request)?;
        let found = self.batch_get(&instrument_ids, min_revision, at_revision, budget).await?;
        Ok(found.map(|(results, revision)| v1::BatchGetInstrumentsResponse { results, revision }))
    }

    async fn update_instrument(
        &self,
        request: Request<v1::UpdateInstrumentRequest>,
    ) -> Reply<v1::UpdateInstrumentResponse> {
        self.write(request).await
    }

    async fn delete_instrument(
        &self,
        request: Request<v1::DeleteInstrumentRequest>,
    ) -> Reply<v1::DeleteInstrumentResponse> {
        self.write(request).await
    }

    async fn undelete_instrument(
        &self,
        request: Request<v1::UndeleteInstrumentRequest>,
    ) -> Reply<v1::UndeleteInstrumentResponse> {
        self.write(request).await
    }

    async fn list_instruments(
        &self,
        request: Request<v1::ListInstrumentsRequest>,
    ) -> Reply<v1::ListInstrumentsResponse> {
        let v1::ListInstrumentsRequest {
            page_size: size,
            page_token: token,
            kind,
            base_asset_id,
            quote_asset_id,
            show_deleted,
            min_revision,
            settle_asset_id,
            min_expiry_date,
            max_expiry_date,
            min_strike,
            max_strike,
            code,
        } = received(request)?;
        let filter = InstrumentFilter {
            kind: convert::filter::<v1::InstrumentKind, _>("kind", kind).map_err(malformed)?,
            base_asset_id: given_id("base_asset_id", &base_asset_id).map_err(status)?,
            quote_asset_id: given_id("quote_asset_id", &quote_asset_id).map_err(status)?,
            settle_asset_id: given_id("settle_asset_id", &settle_asset_id).map_err(status)?,
            expiry: [
                convert::date("min_expiry_date", &min_expiry_date).map_err(malformed)?,
                convert::date("max_expiry_date", &max_expiry_date).map_err(malformed)?,
            ],
            strike: [
                strike("min_strike", &min_strike).map_err(status)?,
                strike("max_strike", &max_strike).map_err(status)?,
            ],
            code: given("code", code).map_err(status)?,
            show_deleted,
        };
        let listed = self.list(filter, PageRequest { size, token }, min_revision).await?;
        Ok(listed.map(|(instruments, next_page_token, revision)| v1::ListInstrumentsResponse {
            instruments,
            next_page_token,
            revision,
        }))
    }
}

/// A strike that others are compared with: none, or above 0 as all of them.
fn strike(field: &str, text: &str) -> Result<Option<Decimal>, Error> {
    let strike: Option<Decimal> = given_id(field, text)?;
    if strike.as_ref().is_some_and(|strike| strike.sign() != Ordering::Greater) {
        return Err(invalid(field, "NOT_POSITIVE", "must be above 0"));
    }
    Ok(strike)
}

batch_result!(Instrument in batch_get_instruments_response);
entity_writes! { "InstrumentService" Instrument in instrument, instrument_id:
    create as "CreateInstrument" in CreateInstrumentRequest => CreateInstrumentResponse,
    update as "UpdateInstrument" in UpdateInstrumentRequest => UpdateInstrumentResponse,
    delete as "DeleteInstrument" in DeleteInstrumentRequest => DeleteInstrumentResponse,
    undelete as "UndeleteInstrument" in UndeleteInstrumentRequest => UndeleteInstrumentResponse,
}
