//! Files that are downloaded, and compared with what the server says of them.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use base16ct::lower::encode_string;
use clap::Args;
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::fs::File;
use tokio::io::AsyncWriteExt as _;

use super::client::{Client, Request};
use super::failure::{Exit, Failure};
use super::output::{Output, View};
use super::progress;

/// What is downloaded, and where to.
#[derive(Debug, Args)]
pub(crate) struct Target {
    /// Its id.
    id: String,
    /// The file to write, which must not be there; without it, one in this folder that is named by the id.
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
}

impl Target {
    /// Downloads the content of a resource. `ending` tells how its file's name ends.
    pub(crate) async fn download(
        &self,
        client: &Client,
        output: &Output,
        (path, view): (&str, &View),
        ending: impl Fn(&Value) -> &'static str,
    ) -> Result<(), Failure> {
        let mut request = Request::get(path);
        request.push(&self.id);
        let mut resource = client.send(&request).await?;
        let ending = ending(&resource);
        let own = || Path::new(&self.id).with_extension(ending);
        let to = self.to.clone().unwrap_or_else(own);
        if self.to.is_none() && to.components().count() != 1 {
            let detail = format!("{:?} is no id: name the file with --to", self.id);
            return Err(Failure::new(Exit::Usage, detail));
        }
        if to.exists() {
            let detail = format!("{} is there already", to.display());
            return Err(Failure::new(Exit::Conflict, detail));
        }
        request.push("content");
        let part = to.with_extension(format!("{ending}.part"));
        let fetched = fetch(client, &request, &part, &resource).await;
        if fetched.is_err() {
            // There may be none.
            let _ = tokio::fs::remove_file(&part).await;
        }
        fetched?;
        let renamed = tokio::fs::rename(&part, &to).await;
        renamed.with_context(|| format!("cannot write {}", to.display()))?;
        resource["file"] = json!(to.display().to_string());
        output.entry(view, &resource)
    }
}

async fn fetch(
    client: &Client,
    request: &Request,
    to: &Path,
    resource: &Value,
) -> Result<(), Failure> {
    let response = client.open(request).await?;
    let cannot = || format!("cannot write {}", to.display());
    let mut file = File::create(to).await.with_context(cannot)?;
    let bar = progress::bar(response.content_length().unwrap_or(0), "bytes");
    let (mut hash, mut pieces) = (Sha256::new(), response.bytes_stream());
    while let Some(piece) = pieces.next().await {
        let piece = piece.context("the download broke off")?;
        hash.update(&piece);
        file.write_all(&piece).await.with_context(cannot)?;
        bar.inc(piece.len() as u64);
    }
    file.sync_all().await.with_context(cannot)?;
    bar.finish_and_clear();
    let hash = encode_string(&hash.finalize());
    if resource["sha256"] != hash.as_str() {
        let detail = "the file is another one than the server has stored: try again";
        return Err(Failure::new(Exit::Failed, detail));
    }
    Ok(())
}
