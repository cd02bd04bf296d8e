//! `trees.bin`: little-endian, versioned, with a SHA-256 at the end. Reading never trusts a count: every element is paid for
//! by bytes that are there.
//!
//! ```text
//! "FTLTREES" version:u32 n_features:u32 link:u8 combine:u8 n_outputs:u32 base:f64.. n_trees:u32
//!   tree: output:u32 n_nodes:u32
//!     node: kind:u8  0 leaf      value:f64 cover:f64
//!                    3 leaf      cover:f64 value:f64.. one for each output
//!                    1 numeric   feature:u32 missing_left:u8 left:u32 right:u32 cover:f64 threshold:f64
//!                    2 category  feature:u32 missing_left:u8 left:u32 right:u32 cover:f64 n_words:u32 words:u64..
//! sha256:[u8; 32] of all before
//! ```

use sha2::{Digest, Sha256};

use super::form::{Combine, Form, LeafValue, Link, Node, Tree};
use super::{TreeEnsemble, damaged};
use crate::error::InferenceError;
use crate::predictor::Predictor;

const MAGIC: &[u8; 8] = b"FTLTREES";
const VERSION: u32 = 2;
const DIGEST: usize = 32;

/// The fewest bytes of a node (a leaf) and of a tree (one leaf).
const LEAF_BYTES: usize = 17;
const TREE_BYTES: usize = 8 + LEAF_BYTES;

impl TreeEnsemble {
    /// The file form, equal for equal ensembles.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&count(self.n_features()));
        out.push(link_code(self.link()));
        out.push(u8::from(self.form().combine == Combine::Average));
        out.extend_from_slice(&count(self.n_outputs()));
        self.form()
            .base
            .iter()
            .for_each(|it| out.extend_from_slice(&it.to_le_bytes()));
        out.extend_from_slice(&count(self.trees().len()));
        for tree in self.trees() {
            out.extend_from_slice(&tree.output.to_le_bytes());
            out.extend_from_slice(&count(tree.nodes.len()));
            tree.nodes.iter().for_each(|node| write_node(&mut out, node));
        }
        let digest = Sha256::digest(&out);
        out.extend_from_slice(&digest);
        out
    }

    /// Reads the file form.
    ///
    /// # Errors
    /// `Damaged` for bytes that are cut, changed or not such a file; `Format` for one that a newer build wrote.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InferenceError> {
        let Some(body) = bytes.len().checked_sub(DIGEST).map(|end| &bytes[..end]) else {
            return Err(damaged(format!("only {} bytes long", bytes.len())));
        };
        if !body.starts_with(MAGIC) {
            return Err(damaged("not a file of trees".to_owned()));
        }
        if Sha256::digest(body)[..] != bytes[body.len()..] {
            return Err(damaged("checksum does not match".to_owned()));
        }
        parse(body)
    }
}

/// The body, magic included, without its digest.
pub(super) fn parse(body: &[u8]) -> Result<TreeEnsemble, InferenceError> {
    let mut reader = Reader {
        rest: body.get(MAGIC.len()..).unwrap_or_default(),
    };
    let version = reader.u32()?;
    if version != VERSION {
        return Err(InferenceError::Format {
            got: version,
            supported: VERSION,
        });
    }
    let n_features = reader.u32()? as usize;
    let link = reader.link()?;
    let combine = if reader.bool()? { Combine::Average } else { Combine::Sum };
    let n_outputs = reader.count(8)?;
    let base = (0..n_outputs).map(|_| reader.f64()).collect::<Result<_, _>>()?;
    let n_trees = reader.count(TREE_BYTES)?;
    let trees = (0..n_trees).map(|_| reader.tree(n_outputs)).collect::<Result<_, _>>()?;
    if !reader.rest.is_empty() {
        return Err(damaged(format!("{} bytes after the last tree", reader.rest.len())));
    }
    TreeEnsemble::from_form(Form {
        n_features,
        base,
        link,
        combine,
        trees,
    })
}

fn count(length: usize) -> [u8; 4] {
    u32::try_from(length)
        .expect("packing has counted nodes, trees and columns in 32 bits")
        .to_le_bytes()
}

fn link_code(link: Link) -> u8 {
    match link {
        Link::Identity => 0,
        Link::Logit => 1,
        Link::Log => 2,
        Link::Softmax => 3,
        Link::Probit => 4,
        Link::Step => 5,
        Link::Softplus => 6,
        Link::SignedSquare => 7,
    }
}

fn write_node(out: &mut Vec<u8>, node: &Node) {
    match node {
        Node::Leaf {
            value: LeafValue::One(value),
            cover,
        } => {
            out.push(0);
            out.extend_from_slice(&value.to_le_bytes());
            out.extend_from_slice(&cover.to_le_bytes());
        }
        Node::Leaf {
            value: LeafValue::Many(values),
            cover,
        } => {
            out.push(3);
            out.extend_from_slice(&cover.to_le_bytes());
            values.iter().for_each(|it| out.extend_from_slice(&it.to_le_bytes()));
        }
        Node::Numeric {
            feature,
            threshold,
            missing_left,
            left,
            right,
            cover,
        } => {
            out.push(1);
            write_split(out, *feature, *missing_left, (*left, *right), *cover);
            out.extend_from_slice(&threshold.to_le_bytes());
        }
        Node::Category {
            feature,
            categories,
            missing_left,
            left,
            right,
            cover,
        } => {
            out.push(2);
            write_split(out, *feature, *missing_left, (*left, *right), *cover);
            out.extend_from_slice(&count(categories.len()));
            categories
                .iter()
                .for_each(|word| out.extend_from_slice(&word.to_le_bytes()));
        }
    }
}

fn write_split(out: &mut Vec<u8>, feature: u32, missing_left: bool, (left, right): (u32, u32), cover: f64) {
    out.extend_from_slice(&feature.to_le_bytes());
    out.push(u8::from(missing_left));
    out.extend_from_slice(&left.to_le_bytes());
    out.extend_from_slice(&right.to_le_bytes());
    out.extend_from_slice(&cover.to_le_bytes());
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], InferenceError> {
        let (taken, rest) = self
            .rest
            .split_first_chunk()
            .ok_or_else(|| damaged("ends too early".to_owned()))?;
        self.rest = rest;
        Ok(*taken)
    }

    fn u32(&mut self) -> Result<u32, InferenceError> {
        self.take().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, InferenceError> {
        self.take().map(u64::from_le_bytes)
    }

    fn f64(&mut self) -> Result<f64, InferenceError> {
        self.take().map(f64::from_le_bytes)
    }

    fn bool(&mut self) -> Result<bool, InferenceError> {
        match self.take()? {
            [0] => Ok(false),
            [1] => Ok(true),
            [other] => Err(damaged(format!("{other} in place of a bool"))),
        }
    }

    fn link(&mut self) -> Result<Link, InferenceError> {
        match self.take()? {
            [0] => Ok(Link::Identity),
            [1] => Ok(Link::Logit),
            [2] => Ok(Link::Log),
            [3] => Ok(Link::Softmax),
            [4] => Ok(Link::Probit),
            [5] => Ok(Link::Step),
            [6] => Ok(Link::Softplus),
            [7] => Ok(Link::SignedSquare),
            [other] => Err(damaged(format!("unknown link {other}"))),
        }
    }

    /// A count of elements of at least `least` bytes each, refused where so many bytes are not there.
    fn count(&mut self, least: usize) -> Result<usize, InferenceError> {
        let count = self.u32()? as usize;
        if count <= self.rest.len() / least {
            return Ok(count);
        }
        Err(damaged(format!("{count} elements in {} bytes", self.rest.len())))
    }

    fn tree(&mut self, n_outputs: usize) -> Result<Tree, InferenceError> {
        let output = self.u32()?;
        let n_nodes = self.count(LEAF_BYTES)?;
        let nodes = (0..n_nodes).map(|_| self.node(n_outputs)).collect::<Result<_, _>>()?;
        Ok(Tree { nodes, output })
    }

    fn node(&mut self, n_outputs: usize) -> Result<Node, InferenceError> {
        match self.take()? {
            [0] => Ok(Node::Leaf {
                value: self.f64()?.into(),
                cover: self.f64()?,
            }),
            [3] => {
                let cover = self.f64()?;
                let values = (0..n_outputs).map(|_| self.f64()).collect::<Result<_, _>>()?;
                Ok(Node::Leaf {
                    value: LeafValue::Many(values),
                    cover,
                })
            }
            [kind @ (1 | 2)] => self.split(kind),
            [other] => Err(damaged(format!("unknown node kind {other}"))),
        }
    }

    fn split(&mut self, kind: u8) -> Result<Node, InferenceError> {
        let (feature, missing_left) = (self.u32()?, self.bool()?);
        let (left, right, cover) = (self.u32()?, self.u32()?, self.f64()?);
        if kind == 1 {
            let threshold = self.f64()?;
            return Ok(Node::Numeric {
                feature,
                threshold,
                missing_left,
                left,
                right,
                cover,
            });
        }
        let n_words = self.count(8)?;
        let categories = (0..n_words).map(|_| self.u64()).collect::<Result<_, _>>()?;
        Ok(Node::Category {
            feature,
            categories,
            missing_left,
            left,
            right,
            cover,
        })
    }
}
