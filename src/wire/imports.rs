//! `ImportService`: decisions of the past that a slot learns.

use tonic::{Request, Response, Status};

use super::{
    Api,
    access::CallAccess,
    actor::actor,
    decode::{FieldResult, decode_features, decode_timestamp},
    error,
    proto::{self, ImportObservationsRequest, ImportObservationsResponse, import_service_server::ImportService},
    slots::parse_slot,
};
use crate::{
    engine::{Change, ImportedObservation, ImportedPart},
    slot::{
        ArmId, ChangeReason, FieldError, check_token,
        limits::{IMPORT_ID_BYTES_MAX, NUMBER_MAX},
    },
};

fn decode_observation(observation: proto::ImportedObservation) -> FieldResult<ImportedObservation> {
    let proto::ImportedObservation { time, context, arm_id, features, propensity, reward } = observation;
    let time = time.ok_or_else(|| FieldError::new("time", "is missing"))?;
    if !(propensity > 0.0 && propensity <= 1.0) {
        return Err(FieldError::new("propensity", format!("is {propensity}; must be above 0 and at most 1")));
    }
    if !reward.is_finite() || reward.abs() > NUMBER_MAX {
        return Err(FieldError::new("reward", format!("must be a number from -{NUMBER_MAX} to {NUMBER_MAX}")));
    }
    Ok(ImportedObservation {
        at_us: decode_timestamp("time", time)?,
        context: decode_features("context", context)?,
        arm: ArmId::parse("arm_id", &arm_id)?,
        features: decode_features("features", features)?,
        propensity,
        reward,
    })
}

#[tonic::async_trait]
impl ImportService for Api {
    async fn import_observations(
        &self,
        request: Request<ImportObservationsRequest>,
    ) -> Result<Response<ImportObservationsResponse>, Status> {
        let (access, actor) = (CallAccess::of(&request), actor(&request));
        let ImportObservationsRequest { slot_id, import_id, part, observations, reason, author } = request.into_inner();
        let (node, slot) = (self.node()?, parse_slot(&slot_id)?);
        // An import changes what shoppers get, as a reset does.
        access.check_change(node, &slot, &Change::Reset)?;
        check_token("import_id", &import_id).map_err(|why| error::field(&why))?;
        if import_id.len() > IMPORT_ID_BYTES_MAX {
            let message = format!("has more than {IMPORT_ID_BYTES_MAX} bytes");
            return Err(error::field(&FieldError::new("import_id", message)));
        }
        let decode =
            |(i, observation)| decode_observation(observation).map_err(|why| why.within(&format!("observations[{i}]")));
        let observations = observations.into_iter().enumerate().map(decode).collect::<FieldResult<Vec<_>>>();
        let observations = observations.map_err(|why| error::field(&why))?;
        let why = ChangeReason { author, reason, actor };
        let imported = node.import(ImportedPart { slot, import_id, part, observations, why }).await;
        let (progress, repeated) = imported.map_err(|why| error::change(why, "slot_id"))?;
        let (parts, observations) = (progress.parts, progress.observations);
        Ok(Response::new(ImportObservationsResponse { repeated, parts, observations }))
    }
}
