//! All images that a name stands for.

use bytes::Bytes;

use crate::image::{Descriptor, ImageConfig, ImageRef, Index, Manifest};
use crate::net::retry::Retry;

use super::documents::{Document, parse};
use super::pull::DEPTH;
use super::{Client, Error};

/// An image of an index, or what stands beside images there: its config may be any document.
#[derive(Debug, Clone)]
pub struct Member {
    /// By which an index points to it.
    pub descriptor: Descriptor,
    /// Where it was found, by digest.
    pub source: ImageRef,
    pub manifest: Manifest,
    pub manifest_bytes: Bytes,
    pub config_bytes: Bytes,
}

impl Client {
    /// Looks up an image, or all images of an index and of the indexes in it, under its own name only; in their order.
    pub async fn every_image(&self, reference: &ImageRef) -> Result<Vec<Member>, Error> {
        let retry = self.0.options.retry;
        let document = self.manifest(reference, retry).await?;
        if !document.media_type.is_index() {
            let size = document.bytes.len() as u64;
            let own = Descriptor::new(document.media_type.clone(), document.digest.clone(), size);
            let mut member = self.member(reference, own, document, retry).await?;
            let config: ImageConfig = parse(&member.config_bytes, reference, "config")?;
            member.descriptor.platform = Some(config.platform);
            return Ok(vec![member]);
        }
        let mut members = Vec::new();
        let index: Index = parse(&document.bytes, reference, "index")?;
        // what is to be looked at, the next one last
        let mut pending: Vec<_> = index.manifests.into_iter().rev().map(|d| (d, 1)).collect();
        while let Some((descriptor, depth)) = pending.pop() {
            let child = reference.with_digest(descriptor.digest.clone());
            let document = self.manifest(&child, retry).await?;
            if document.media_type.is_index() && depth < DEPTH {
                let index: Index = parse(&document.bytes, &child, "index")?;
                pending.extend(index.manifests.into_iter().rev().map(|d| (d, depth + 1)));
                continue;
            }
            members.push(self.member(&child, descriptor, document, retry).await?);
        }
        Ok(members)
    }

    async fn member(
        &self,
        reference: &ImageRef,
        descriptor: Descriptor,
        document: Document,
        retry: Retry,
    ) -> Result<Member, Error> {
        let (source, manifest) = self.manifest_of(reference, &document)?;
        Ok(Member {
            descriptor,
            config_bytes: self.document_blob(&source, &manifest.config, retry).await?,
            source,
            manifest,
            manifest_bytes: document.bytes,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Reply, Scripted, client, net};
    use crate::image::{Descriptor, Digest, Family, ImageConfig, Manifest, Platform, json};

    fn described(family: crate::image::MediaType, bytes: &[u8]) -> Descriptor {
        Descriptor::new(family, Digest::of(bytes), bytes.len() as u64)
    }

    fn index(manifests: Vec<Descriptor>) -> Vec<u8> {
        let media_type = Family::Oci.index();
        json::to_vec(
            &serde_json::json!({ "schemaVersion": 2, "mediaType": media_type, "manifests": manifests }),
        )
    }

    #[test]
    fn indexes_in_indexes_and_statements_are_looked_into() {
        let mut documents: Vec<Vec<u8>> = Vec::new();
        let mut put = |config: Vec<u8>, name: &str| {
            let manifest = Manifest::new(
                Family::Oci,
                described(Family::Oci.config(), &config),
                Vec::new(),
                [("name".to_owned(), name.to_owned())].into(),
            );
            let bytes = json::to_vec(&manifest);
            let descriptor = described(Family::Oci.manifest(), &bytes);
            documents.extend([config, bytes]);
            descriptor
        };
        let config = |architecture| {
            json::to_vec(&ImageConfig::scratch(Platform::new(
                "linux",
                architecture,
                "",
            )))
        };
        let (one, two) = (put(config("amd64"), "one"), put(config("arm64"), "two"));
        let statement = put(b"{}".to_vec(), "statement");
        let inner = index(vec![one.clone(), statement.clone()]);
        let outer = index(vec![described(Family::Oci.index(), &inner), two.clone()]);
        documents.extend([inner, outer.clone()]);
        let server = Scripted::start(move |request, _| {
            let asked = |bytes: &&Vec<u8>| request.path.ends_with(Digest::of(bytes).as_str());
            match request.path.as_str() {
                "/v2/" => Reply::new(200),
                path if path.ends_with("/manifests/1") => Reply::new(200).body(outer.clone()),
                _ => match documents.iter().find(asked) {
                    Some(bytes) => Reply::new(200).body(bytes.clone()),
                    None => Reply::new(404),
                },
            }
        });
        let net = net();
        let client = client(&net, &[]);
        let found = net
            .block_on(client.every_image(&server.image("a:1")))
            .unwrap();
        let found: Vec<Descriptor> = found.into_iter().map(|member| member.descriptor).collect();
        assert_eq!(found, [one.clone(), statement, two]);
        let name = server.image("a").with_digest(one.digest.clone());
        let alone = net.block_on(client.every_image(&name)).unwrap();
        let platform = alone[0].descriptor.platform.clone();
        assert_eq!(platform, Some(Platform::new("linux", "amd64", "")));
    }
}
