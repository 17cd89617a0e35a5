//! Unpacking layers.

use std::io::Read;
use std::os::fd::AsFd;

use super::attributes::Wanted;
use super::excerpt::Excerpt;
use super::present::Present;
use super::{Batch, Error, Rootfs};
use crate::layer::{self, Entry, Kind, LayerPath, Whiteout};

/// What a layer brought.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Unpacked {
    /// Files, directories, links and devices.
    pub entries: u64,
    pub whiteouts: u64,
    /// Bytes in files.
    pub size: u64,
}

impl Rootfs {
    /// Applies one layer on top of what is here.
    ///
    /// Whiteouts hide what was here before, wherever they stand among the entries of the layer.
    ///
    /// # Errors
    /// Those of [`Batch::put`] and of the reader; entries before stay applied.
    ///
    /// # Spec
    /// image-spec v1.1 `layer.md`, "Applying Changesets".
    pub fn apply<R: Read>(&self, layer: &mut layer::Reader<R>) -> Result<Unpacked, Error> {
        self.apply_layer(layer, None)
    }

    /// Like [`apply`](Self::apply), without the files that are not part of `excerpt`.
    pub fn apply_excerpt<R: Read>(
        &self,
        layer: &mut layer::Reader<R>,
        excerpt: &mut Excerpt,
    ) -> Result<Unpacked, Error> {
        self.apply_layer(layer, Some(excerpt))
    }

    fn apply_layer<R: Read>(
        &self,
        layer: &mut layer::Reader<R>,
        mut excerpt: Option<&mut Excerpt>,
    ) -> Result<Unpacked, Error> {
        let mut batch = self.batch();
        let mut present = Present::default();
        let mut unpacked = Unpacked::default();
        while let Some(entry) = layer.next()? {
            let name = entry.path.file_name().unwrap_or_default();
            let parent = || entry.path.parent().unwrap_or_default();
            match Whiteout::from_file_name(name)? {
                None => {
                    if let Some(excerpt) = excerpt.as_deref_mut()
                        && !batch.is_in(&entry, excerpt)?
                    {
                        continue;
                    }
                    let placed = batch.place(&entry, layer)?;
                    present.insert(&placed.real);
                    unpacked.entries += 1;
                    unpacked.size += placed.size;
                    continue;
                }
                Some(Whiteout::Remove(name)) => batch.hide(parent().join(name), &present, true)?,
                Some(Whiteout::Opaque) => batch.hide(parent(), &present, false)?,
                Some(Whiteout::Reserved) => continue,
            }
            unpacked.whiteouts += 1;
        }
        batch.finish()?;
        Ok(unpacked)
    }
}

impl Batch<'_> {
    /// Decides about an entry whether it is put into a root that has only an excerpt; the directories above it are made in any case.
    fn is_in(&mut self, entry: &Entry, excerpt: &mut Excerpt) -> Result<bool, Error> {
        let Some(name) = entry.path.file_name() else {
            return Ok(true);
        };
        let parent = self.enter_parent(&entry.path)?;
        let real = parent.real.join(name);
        self.parent.get_or_insert(parent);
        match &entry.kind {
            Kind::Directory => return Ok(true),
            Kind::Symlink { target } => {
                excerpt.follow(&real, target);
                return Ok(true);
            }
            Kind::HardLink { target } if excerpt.has(&real) => {
                if self.root.stat(target)?.is_some() {
                    return Ok(true);
                }
                excerpt.tear();
            }
            _ if excerpt.has(&real) => return Ok(true),
            _ => {}
        }
        excerpt.leave_out(&real);
        Ok(false)
    }

    /// Removes what lower layers have at and below `path`, or only below it.
    fn hide(&mut self, path: LayerPath, present: &Present, itself: bool) -> Result<(), Error> {
        self.forget_parent();
        let path = match self.root.resolve_parent(path.as_bytes()) {
            Err(Error::NotADirectory { .. }) => return Ok(()),
            path => path?,
        };
        let mut pending = Vec::new();
        if itself {
            pending.push(path);
        } else {
            // The marker stands inside the directory, which may be reached through a link.
            let dir = self.root.resolve(path.as_bytes())?;
            self.push_content(&mut pending, &dir)?;
        }
        while let Some(path) = pending.pop() {
            let own = present.has(&path);
            if !own && !present.has_below(&path) {
                self.root.remove(&path)?;
                continue;
            }
            if !own {
                // Only on the way to an entry: as if it had not been there before.
                self.make_plain(&path)?;
            }
            self.push_content(&mut pending, &path)?;
        }
        Ok(())
    }

    fn push_content(&self, pending: &mut Vec<LayerPath>, dir: &LayerPath) -> Result<(), Error> {
        if self.root.stat(dir)?.is_some_and(|stat| stat.is_dir()) {
            let names = self.root.read_dir(dir)?;
            pending.extend(names.into_iter().map(|name| dir.join(name)));
        }
        Ok(())
    }

    fn make_plain(&self, dir: &LayerPath) -> Result<(), Error> {
        let made = self.root.parent_of(dir).and_then(|(above, name)| {
            self.root
                .clear_xattrs(above.as_fd(), name, &Default::default())?;
            let wanted = Wanted::implied();
            self.root.settle_new(above.as_fd(), name, None, &wanted)
        });
        made.map(drop)
            .map_err(|e| Error::access("make the directory", dir, e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rootfs::testing::{Scratch, as_user, tar};

    /// Names and contents only.
    fn names(t: &Scratch) -> String {
        let mut text = String::new();
        let mut walk = t.root.walk(&LayerPath::root()).unwrap();
        let mut files = Vec::new();
        while let Some(found) = walk.next().unwrap() {
            files.push((found.layer_path(), found.stat));
        }
        for (path, stat) in files {
            text += &path.to_string()[1..];
            if stat.is_file() {
                let mut content = String::new();
                let mut file = t.root.open_file(&path).unwrap();
                file.read_to_string(&mut content).unwrap();
                text += &format!("={content}");
            }
            text += " ";
        }
        text.trim_end().to_owned()
    }

    #[test]
    fn whiteouts_hide_lower_layers_only() {
        let lower = "d a\nf a/x 1\nf a/y 1\nd a/s\nf a/s/z 1\nf b 1\nl l a";
        #[rustfmt::skip] // a table keeps its columns
        let cases = [
            ("f .wh.a",                          "b=1 l"),
            ("f a/.wh.x",                        "a a/s a/s/z=1 a/y=1 b=1 l"),
            ("f a/.wh.nothing\nf n/.wh.x",       "a a/s a/s/z=1 a/x=1 a/y=1 b=1 l"),
            ("f a/.wh.x\nf a/x 2",               "a a/s a/s/z=1 a/x=2 a/y=1 b=1 l"),
            ("f a/x 2\nf a/.wh.x",               "a a/s a/s/z=1 a/x=2 a/y=1 b=1 l"),
            ("d a\nf a/.wh..wh..opq\nf a/n 2",   "a a/n=2 b=1 l"),
            ("d a\nf a/n 2\nf a/.wh..wh..opq",   "a a/n=2 b=1 l"),
            ("f a/s/n 2\nf a/.wh..wh..opq",      "a a/s a/s/n=2 b=1 l"),
            ("f a/s/n 2\nf .wh.a",               "a a/s a/s/n=2 b=1 l"),
            ("f .wh.a\nf a/s/n 2",               "a a/s a/s/n=2 b=1 l"),
            ("d a\nf .wh.a",                     "a b=1 l"),
            ("f l/.wh.x",                        "a a/s a/s/z=1 a/y=1 b=1 l"),
            ("f l/x 2\nf a/.wh..wh..opq",        "a a/x=2 b=1 l"),
            ("f .wh.l",                          "a a/s a/s/z=1 a/x=1 a/y=1 b=1"),
            ("f b/.wh.x",                        "a a/s a/s/z=1 a/x=1 a/y=1 b=1 l"),
            ("f .wh..wh.plnk 1",                 "a a/s a/s/z=1 a/x=1 a/y=1 b=1 l"),
            ("f .wh..wh..opq\nf new 2",          "new=2"),
            ("f a 2",                            "a=2 b=1 l"),
            ("d b\nf b/c 2",                     "a a/s a/s/z=1 a/x=1 a/y=1 b b/c=2 l"),
        ];
        for (layer, want) in cases {
            let t = Scratch::new();
            t.apply(lower).unwrap();
            t.apply(layer).unwrap();
            assert_eq!(names(&t), want, "{layer}");
        }
    }

    #[test]
    fn what_is_only_on_the_way_is_plain_again() {
        let t = Scratch::new();
        t.apply("d a\nf a/x 1").unwrap();
        t.apply("f a/n 2\nf .wh.a").unwrap();
        assert_eq!(
            t.root.stat(&LayerPath::clean("a")).unwrap().unwrap().mode,
            0o755
        );
    }

    /// Whatever a layer does, nothing outside the root is made, changed or removed.
    #[test]
    fn hostile_layers() {
        #[rustfmt::skip] // a table keeps its columns
        let cases = [
            // layer                                           error
            ("f ../x 1",                                       true),
            ("f a/../../x 1",                                  true),
            ("f /../x 1",                                      true),
            ("d ..",                                           true),
            ("h x ../secret",                                  true),
            ("h x /../secret",                                 true),
            ("l s ../secret\nh x s/in",                        true),
            ("h x nothing",                                    true),
            ("l a b\nl b a\nf a/x 1",                          true),
            ("f a 1\nf a/b 1",                                 true),
            ("f . 1",                                          true),
            ("f .wh. ",                                        true),
            ("f .wh... ",                                      true),
            ("l s ..\nf s/x 1",                                false),
            ("l s /\nf s/x 1",                                 false),
            ("l s ../secret\nf s 1",                           false),
            ("l s ../secret\nh x s",                           false),
            ("l s ..\nf s/.wh.secret",                         false),
            ("l s ..\nf s/.wh..wh..opq",                       false),
            ("d a\nl a ..\nf a/secret 1",                      false),
            ("d a\nf a/b 1\nl a /\nd a/c\nf a/c/secret 1",     false),
            ("l s ..\nd s\nf s/x 1",                           false),
            ("f x 1\nf x 22\nd x\nl x y\nf x 333",             false),
        ];
        for (layer, fails) in cases {
            let t = Scratch::new();
            fs_err::write(t.outside().join("secret"), "untouched").unwrap();
            let result = t.apply(layer);
            assert_eq!(
                result.is_err(),
                fails,
                "{layer}: {result:?}\n{}",
                t.listing()
            );
            assert_eq!(t.outside_names(), ["secret"], "{layer}");
            let secret = fs_err::read(t.outside().join("secret")).unwrap();
            assert_eq!(secret, b"untouched", "{layer}");
        }
    }

    #[test]
    fn a_truncated_layer_is_an_error() {
        let layer = tar("d a\nf a/x 12345\nf b 1");
        for length in [600, 1030, 1500, 2100] {
            let t = Scratch::new();
            let cut = &layer[..length];
            let mut reader = layer::Reader::new(cut, layer::Limits::default());
            assert!(t.root.apply(&mut reader).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn anyone_can_unpack_anything() {
        let t = Scratch::new();
        if crate::rootfs::testing::is_root() {
            std::os::unix::fs::chown(t.root.path(), Some(1000), Some(1000)).unwrap();
            std::os::unix::fs::chown(t.outside(), Some(1000), Some(1000)).unwrap();
        }
        let path = t.root.path().to_owned();
        as_user(move || {
            use crate::layer::Kind;
            use crate::rootfs::testing::{dir, entry, file, hard_link, listing};
            let root = Rootfs::open(&path).unwrap();
            let put = |entry: &crate::layer::Entry, content: &str| {
                root.put(entry, &mut content.as_bytes()).unwrap();
            };
            put(&dir("closed", 0o000), "");
            put(&file("closed/in", 0o000, 2), "in");
            let mut su = file("su", 0o6755, 2);
            su.xattrs
                .insert(b"security.capability".to_vec(), b"cap".to_vec());
            put(&su, "su");
            put(&hard_link("su2", "su"), "");
            put(
                &entry("null", Kind::CharDevice { major: 1, minor: 3 }, 0o666),
                "",
            );
            let mut link = crate::rootfs::testing::symlink("link", "su");
            (link.uid, link.gid) = (7, 8);
            put(&link, "");
            expect_test::expect![[r#"
                d 0000 0:0 /closed
                f 0000 0:0 /closed/in 2
                l - 7:8 /link -> su
                c 0666 0:0 /null 1,3
                f 6755 0:0 /su 2 links=2 security.capability=cap
                f 6755 0:0 /su2 2 links=2 security.capability=cap
            "#]]
            .assert_eq(&listing(&root));
            let refused = root.refused();
            assert_eq!((refused.devices, refused.xattrs), (1, 1));
            assert!(refused.owners >= 5, "{refused:?}");

            root.chown(&LayerPath::clean("su"), 9, 9).unwrap();
            root.chmod(&LayerPath::clean("closed"), 0o070).unwrap();
            let su = root.stat(&LayerPath::clean("su2")).unwrap().unwrap();
            assert_eq!((su.uid, su.mode), (9, 0o6755));
            let closed = root.stat(&LayerPath::clean("closed")).unwrap().unwrap();
            assert_eq!((closed.uid, closed.mode), (0, 0o070));
            root.remove(&LayerPath::root()).unwrap();
            assert_eq!(listing(&root), "");
        });
    }
}
