//! Where checkpoints can be kept, as people write it.
//!
//! | address                                  | store                                    | feature |
//! | ---------------------------------------- | ---------------------------------------- | ------- |
//! | `/data/checkpoints`, `file:///data/...`  | a directory                              |         |
//! | `memory://`                              | memory of this process, lost at its end  |         |
//! | `s3://bucket/prefix`, also `s3a://`      | S3 and whatever speaks its protocol      | `s3`    |
//! | `hdfs://namenode:port/prefix`            | HDFS                                     | `hdfs`  |
//!
//! S3 takes what else it needs from the usual variables: `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`,
//! `AWS_REGION`, `AWS_ENDPOINT_URL` (plain `http` is allowed when the endpoint says so). HDFS reads the
//! configuration in `HADOOP_CONF_DIR`.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use object_store::memory::InMemory;
use object_store::path::Path as Key;
use seawall_env::Disk;

use crate::storage::Storage;
use crate::storage::error::StorageError;

/// A place for checkpoints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A directory.
    Directory(PathBuf),
    /// Memory.
    Memory(Key),
    /// A prefix of the keys in a bucket.
    S3 {
        /// The bucket.
        bucket: String,
        /// What keys begin with.
        prefix: Key,
    },
    /// A directory of HDFS.
    Hdfs {
        /// The name node.
        authority: String,
        /// The directory.
        prefix: Key,
    },
}

/// Opens the storage at an address; [`Location`] says which there are. `disk` is for directories.
///
/// # Errors
/// As [`Location::parse`] and [`Location::open`].
pub fn open(address: &str, disk: Arc<dyn Disk>) -> Result<Storage, StorageError> {
    Location::parse(address)?.open(disk)
}

impl Location {
    /// What the address means.
    ///
    /// # Errors
    /// `Address` when the scheme is unknown, or something is missing.
    pub fn parse(address: &str) -> Result<Self, StorageError> {
        let wrong = |why: String, hint: &'static str| StorageError::Address {
            address: address.to_owned(),
            why,
            hint: hint.to_owned(),
        };
        if let Some(path) = address.strip_prefix("file:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            if !path.starts_with('/') {
                let why = "a file address names a path from the root".to_owned();
                return Err(wrong(why, "write it like file:///data/checkpoints"));
            }
            return Ok(Self::Directory(path.into()));
        }
        let Some((scheme, rest)) = address.split_once("://") else {
            return if address.is_empty() {
                Err(wrong("it is empty".to_owned(), ADDRESSES))
            } else {
                Ok(Self::Directory(address.into()))
            };
        };
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let key = |path: &str| {
            Key::parse(path).map_err(|error| wrong(error.to_string(), "name a plain path"))
        };
        match scheme {
            "memory" => Ok(Self::Memory(key(rest)?)),
            "s3" | "s3a" if authority.is_empty() => {
                Err(wrong("it names no bucket".to_owned(), "write it like s3://bucket/prefix"))
            }
            "s3" | "s3a" => Ok(Self::S3 { bucket: authority.to_owned(), prefix: key(path)? }),
            "hdfs" if authority.is_empty() => Err(wrong(
                "it names no name node".to_owned(),
                "write it like hdfs://namenode:8020/checkpoints",
            )),
            "hdfs" => Ok(Self::Hdfs { authority: authority.to_owned(), prefix: key(path)? }),
            _ => Err(wrong(format!("unknown scheme {scheme}"), ADDRESSES)),
        }
    }

    /// The place of this name below.
    #[must_use]
    pub fn child(&self, name: &str) -> Self {
        match self.clone() {
            Self::Directory(path) => Self::Directory(path.join(name)),
            Self::Memory(prefix) => Self::Memory(prefix.join(name)),
            Self::S3 { bucket, prefix } => Self::S3 { bucket, prefix: prefix.join(name) },
            Self::Hdfs { authority, prefix } => Self::Hdfs { authority, prefix: prefix.join(name) },
        }
    }

    /// Opens it; nothing is read or written yet.
    ///
    /// # Errors
    /// `Address` when this program was built without the feature, or the surroundings do not say all that
    /// is needed.
    pub fn open(&self, disk: Arc<dyn Disk>) -> Result<Storage, StorageError> {
        match self {
            Self::Directory(path) => Ok(Storage::on_disk(disk, path)),
            Self::Memory(prefix) => {
                let store = Arc::new(InMemory::new());
                Ok(Storage::over(store, prefix.clone(), self.to_string()))
            }
            Self::S3 { bucket, prefix } => self.open_s3(bucket, prefix),
            Self::Hdfs { authority, prefix } => self.open_hdfs(authority, prefix),
        }
    }

    #[cfg(feature = "s3")]
    fn open_s3(&self, bucket: &str, prefix: &Key) -> Result<Storage, StorageError> {
        use std::time::Duration;

        use object_store::RetryConfig;
        use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};

        let builder = AmazonS3Builder::from_env().with_bucket_name(bucket);
        let endpoint = builder.get_config_value(&AmazonS3ConfigKey::Endpoint);
        let builder = match endpoint {
            Some(endpoint) if endpoint.starts_with("http://") => builder.with_allow_http(true),
            Some(_) | None => builder,
        };
        // A job would rather hear of an outage than wait for its end: it tries again by itself.
        let retry = RetryConfig {
            max_retries: 5,
            retry_timeout: Duration::from_secs(30),
            ..RetryConfig::default()
        };
        let store = builder.with_retry(retry).build().map_err(|error| StorageError::Address {
            address: self.to_string(),
            why: error.to_string(),
            hint: "set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, and AWS_ENDPOINT_URL for a \
                   store that is not Amazon's"
                .to_owned(),
        })?;
        Ok(Storage::over(Arc::new(store), prefix.clone(), self.to_string()))
    }

    #[cfg(not(feature = "s3"))]
    fn open_s3(&self, _bucket: &str, _prefix: &Key) -> Result<Storage, StorageError> {
        Err(self.needs("s3"))
    }

    #[cfg(feature = "hdfs")]
    fn open_hdfs(&self, authority: &str, prefix: &Key) -> Result<Storage, StorageError> {
        let store = hdfs_native_object_store::HdfsObjectStoreBuilder::new()
            .with_url(format!("hdfs://{authority}"))
            .build()
            .map_err(|error| StorageError::Address {
                address: self.to_string(),
                why: error.to_string(),
                hint: "name the name node, or set HADOOP_CONF_DIR".to_owned(),
            })?;
        let storage = Storage::over(Arc::new(store), prefix.clone(), self.to_string());
        Ok(storage.without_conditional_update())
    }

    #[cfg(not(feature = "hdfs"))]
    fn open_hdfs(&self, _authority: &str, _prefix: &Key) -> Result<Storage, StorageError> {
        Err(self.needs("hdfs"))
    }

    #[cfg(not(all(feature = "s3", feature = "hdfs")))]
    fn needs(&self, feature: &str) -> StorageError {
        StorageError::Address {
            address: self.to_string(),
            why: format!("this program was built without the feature {feature}"),
            hint: format!("build it with cargo build --release --features {feature}"),
        }
    }
}

const ADDRESSES: &str = "name a directory, or an address with file://, s3://, hdfs:// or memory://";

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut with = |start: &str, prefix: &Key| {
            f.write_str(start)?;
            if prefix.is_root() { Ok(()) } else { write!(f, "/{prefix}") }
        };
        match self {
            Self::Directory(path) => path.display().fmt(f),
            Self::Memory(prefix) => write!(f, "memory://{prefix}"),
            Self::S3 { bucket, prefix } => with(&format!("s3://{bucket}"), prefix),
            Self::Hdfs { authority, prefix } => with(&format!("hdfs://{authority}"), prefix),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(address: &str, expected: &str) {
        let child = Location::parse(address).map(|it| it.child("job-1").to_string());
        assert_eq!(child.unwrap_or_else(|error| error.to_string()), expected, "{address}");
    }

    #[test]
    fn every_kind_of_address_is_understood() {
        check("data", "data/job-1");
        check("/data/x", "/data/x/job-1");
        check("file:///data/x", "/data/x/job-1");
        check("file:/data/x", "/data/x/job-1");
        check("memory://", "memory://job-1");
        check("s3://bucket", "s3://bucket/job-1");
        check("s3a://bucket/a/b/", "s3://bucket/a/b/job-1");
        check("hdfs://namenode:8020/a", "hdfs://namenode:8020/a/job-1");
    }

    #[test]
    fn an_address_that_cannot_be_used_says_what_to_write() {
        for (address, why, hint) in [
            ("gs://b/p", "unknown scheme gs", ADDRESSES),
            ("", "it is empty", ADDRESSES),
            ("s3://", "it names no bucket", "write it like s3://bucket/prefix"),
            (
                "hdfs:///x",
                "it names no name node",
                "write it like hdfs://namenode:8020/checkpoints",
            ),
            (
                "file://data",
                "a file address names a path from the root",
                "write it like file:///data/checkpoints",
            ),
        ] {
            let expected =
                format!("checkpoints cannot be kept in {address:?}: {why}\nhint: {hint}");
            check(address, &expected);
        }
    }

    #[cfg(not(feature = "s3"))]
    #[test]
    fn a_scheme_whose_feature_is_off_says_how_to_build_it() {
        let disk = Arc::new(crate::tokio_env::FileSystem);
        assert_eq!(
            open("s3://bucket/prefix", disk).unwrap_err().to_string(),
            "checkpoints cannot be kept in \"s3://bucket/prefix\": this program was built without the \
             feature s3\nhint: build it with cargo build --release --features s3"
        );
    }
}
