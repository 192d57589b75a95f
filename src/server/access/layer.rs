//! Admission as a layer around the services of the gRPC port.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    task::{Context, Poll},
};

use axum::http;
use tokio_util::either::Either;
use tonic::body::Body;
use tower::{Layer, Service};

use super::AccessControl;

/// Layer that admits calls.
#[derive(Debug, Clone)]
pub(in crate::server) struct AccessLayer(pub(in crate::server) AccessControl);

/// Service whose calls are admitted.
#[derive(Debug, Clone)]
pub(in crate::server) struct AdmittedService<S> {
    inner: S,
    access: AccessControl,
}

impl<S> Layer<S> for AccessLayer {
    type Service = AdmittedService<S>;

    fn layer(&self, inner: S) -> AdmittedService<S> {
        AdmittedService { inner, access: self.0.clone() }
    }
}

impl<S> Service<http::Request<Body>> for AdmittedService<S>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible>,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Either<S::Future, Ready<Result<http::Response<Body>, Infallible>>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        match self.access.admit(request.uri().path(), request.headers()) {
            Ok(caller) => {
                if let Some(caller) = caller {
                    request.extensions_mut().insert(caller);
                }
                Either::Left(self.inner.call(request))
            }
            Err(refused) => Either::Right(ready(Ok(refused.status.into_http()))),
        }
    }
}
