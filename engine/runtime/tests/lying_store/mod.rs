//! A store whose listings are empty, or as old as can be, and that remembers what was deleted together.

#![expect(
    clippy::default_trait_access,
    reason = "the types are of http and chrono, which object_store does not hand on"
)]

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures_util::stream::{BoxStream, StreamExt, iter, once};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

/// How a listing lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lie {
    /// It names nothing.
    Nothing,
    /// It names all that ever was, deleted or not.
    EverythingEver,
}

/// Objects in memory, with listings that lie.
#[derive(Debug, Clone)]
pub(crate) struct LyingStore {
    inner: InMemory,
    lie: Lie,
    ever: Arc<Mutex<BTreeSet<Path>>>,
    deletions: Arc<Mutex<Vec<Vec<Path>>>>,
}

impl LyingStore {
    pub(crate) fn new(lie: Lie) -> Self {
        Self { inner: InMemory::new(), lie, ever: Arc::default(), deletions: Arc::default() }
    }

    /// The files of each request to delete some.
    pub(crate) fn deletions(&self) -> Vec<Vec<Path>> {
        self.deletions.lock().unwrap().clone()
    }

    fn listed(&self, prefix: Option<&Path>) -> Vec<Path> {
        let prefix = prefix.cloned().unwrap_or_default();
        match self.lie {
            Lie::Nothing => Vec::new(),
            Lie::EverythingEver => {
                let ever = self.ever.lock().unwrap();
                ever.iter().filter(|it| it.prefix_matches(&prefix)).cloned().collect()
            }
        }
    }
}

fn meta(location: Path) -> ObjectMeta {
    ObjectMeta { location, last_modified: Default::default(), size: 1, e_tag: None, version: None }
}

impl fmt::Display for LyingStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LyingStore")
    }
}

#[async_trait]
impl ObjectStore for LyingStore {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        self.ever.lock().unwrap().insert(location.clone());
        self.inner.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(location, options).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let (inner, deletions) = (self.inner.clone(), Arc::clone(&self.deletions));
        let request = async move {
            let keys: Vec<_> = locations.collect().await;
            deletions.lock().unwrap().push(keys.iter().flatten().cloned().collect());
            inner.delete_stream(iter(keys).boxed())
        };
        once(request).flatten().boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        iter(self.listed(prefix)).map(|it| Ok(meta(it))).boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let root = prefix.cloned().unwrap_or_default();
        let (mut directories, mut objects) = (BTreeSet::new(), Vec::new());
        for path in self.listed(prefix) {
            let names: Vec<_> = path.prefix_match(&root).unwrap().collect();
            if names.len() > 1 {
                directories.insert(root.clone().join(names[0].clone()));
            } else {
                objects.push(meta(path));
            }
        }
        let common_prefixes = directories.into_iter().collect();
        Ok(ListResult { common_prefixes, objects, extensions: Default::default() })
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
