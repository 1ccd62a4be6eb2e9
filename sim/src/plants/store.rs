//! Planted bugs in how the answers of a storage service are read.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use object_store::path::Path as Key;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult,
};

/// A store whose answers are read wrongly.
#[derive(Debug)]
pub(super) struct Misread {
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) how: Misreading,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Misreading {
    /// What cannot be read is not there.
    ErrorIsAbsence,
    /// What was refused was not written, and what is there now is in the way.
    ConflictIsGarbage,
}

impl fmt::Display for Misread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.store.fmt(f)
    }
}

#[async_trait]
impl ObjectStore for Misread {
    async fn put_opts(
        &self,
        location: &Key,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult, Error> {
        let put = self.store.put_opts(location, payload, options).await;
        let is_refused =
            matches!(put, Err(Error::AlreadyExists { .. } | Error::Precondition { .. }));
        if is_refused && self.how == Misreading::ConflictIsGarbage {
            self.store.delete(location).await?;
        }
        put
    }
    async fn put_multipart_opts(
        &self,
        location: &Key,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>, Error> {
        self.store.put_multipart_opts(location, options).await
    }
    async fn get_opts(&self, location: &Key, options: GetOptions) -> Result<GetResult, Error> {
        let got = self.store.get_opts(location, options).await;
        match (got, self.how) {
            (Err(error), Misreading::ErrorIsAbsence) => {
                Err(Error::NotFound { path: location.to_string(), source: error.into() })
            }
            (got, _) => got,
        }
    }
    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Key, Error>>,
    ) -> BoxStream<'static, Result<Key, Error>> {
        self.store.delete_stream(locations)
    }
    fn list(&self, prefix: Option<&Key>) -> BoxStream<'static, Result<ObjectMeta, Error>> {
        self.store.list(prefix)
    }
    async fn list_with_delimiter(&self, prefix: Option<&Key>) -> Result<ListResult, Error> {
        self.store.list_with_delimiter(prefix).await
    }
    async fn copy_opts(&self, from: &Key, to: &Key, options: CopyOptions) -> Result<(), Error> {
        self.store.copy_opts(from, to, options).await
    }
}
