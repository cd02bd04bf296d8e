//! The parts of `onnx.proto` that are needed, as views of the file's bytes (`ModelProto`, `GraphProto`, `NodeProto`,
//! `AttributeProto`, `TensorProto`, `ValueInfoProto`). <https://github.com/onnx/onnx/blob/main/onnx/onnx.proto>
//!
//! Field numbers stand beside the names. A file is checked once, as a whole; views of a checked file cannot meet broken bytes.

use super::wire::{Field, Fields, fields, is_whole, varint};

/// `TensorProto.DataType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ElementType {
    /// 32-bit float.
    Float,
    /// 64-bit float.
    Double,
    /// 32-bit integer.
    Int32,
    /// 64-bit integer.
    Int64,
    /// Text.
    String,
    /// `true` or `false`.
    Bool,
    /// Any other type, by its number.
    Other(i64),
}

impl ElementType {
    pub(crate) fn of(code: i64) -> Self {
        match code {
            1 => Self::Float,
            6 => Self::Int32,
            7 => Self::Int64,
            8 => Self::String,
            9 => Self::Bool,
            11 => Self::Double,
            other => Self::Other(other),
        }
    }

    pub(crate) fn code(self) -> i64 {
        match self {
            Self::Float => 1,
            Self::Int32 => 6,
            Self::Int64 => 7,
            Self::String => 8,
            Self::Bool => 9,
            Self::Double => 11,
            Self::Other(code) => code,
        }
    }
}

/// A message of the file.
#[derive(Debug, Clone, Copy)]
struct Message<'a>(&'a [u8]);

impl<'a> Message<'a> {
    fn fields(self) -> Fields<'a> {
        fields(self.0)
    }

    fn all(self, number: u32) -> impl Iterator<Item = Field<'a>> {
        self.fields().filter(move |it| it.0 == number).map(|it| it.1)
    }

    /// The last one counts, as protobuf has it.
    fn one(self, number: u32) -> Option<Field<'a>> {
        self.all(number).last()
    }

    fn messages(self, number: u32) -> impl Iterator<Item = Message<'a>> {
        self.all(number).filter_map(bytes).map(Message)
    }

    fn message(self, number: u32) -> Option<Message<'a>> {
        self.one(number).and_then(bytes).map(Message)
    }

    fn text(self, number: u32) -> &'a str {
        self.one(number)
            .and_then(bytes)
            .map(|it| std::str::from_utf8(it).unwrap_or("\u{fffd}"))
            .unwrap_or_default()
    }

    fn texts(self, number: u32) -> impl Iterator<Item = &'a str> {
        self.all(number)
            .filter_map(bytes)
            .map(|it| std::str::from_utf8(it).unwrap_or("\u{fffd}"))
    }

    fn int(self, number: u32) -> Option<i64> {
        match self.one(number)? {
            Field::Varint(it) => Some(it as i64),
            _ => None,
        }
    }

    /// A repeated integer, packed or not.
    fn ints(self, number: u32) -> impl Iterator<Item = i64> {
        self.all(number).flat_map(|it| match it {
            Field::Varint(it) => Packed {
                one: Some(it),
                bytes: &[],
            },
            Field::Bytes(bytes) => Packed { one: None, bytes },
            _ => Packed { one: None, bytes: &[] },
        })
    }

    fn floats(self, number: u32) -> impl Iterator<Item = f32> {
        self.all(number)
            .flat_map(|it| {
                let (one, many): (Option<[u8; 4]>, &[u8]) = match it {
                    Field::Fixed32(it) => (Some(it), &[]),
                    Field::Bytes(it) => (None, it),
                    _ => (None, &[]),
                };
                one.into_iter().chain(chunks(many))
            })
            .map(f32::from_le_bytes)
    }

    fn doubles(self, number: u32) -> impl Iterator<Item = f64> {
        self.all(number)
            .flat_map(|it| {
                let (one, many): (Option<[u8; 8]>, &[u8]) = match it {
                    Field::Fixed64(it) => (Some(it), &[]),
                    Field::Bytes(it) => (None, it),
                    _ => (None, &[]),
                };
                one.into_iter().chain(chunks(many))
            })
            .map(f64::from_le_bytes)
    }
}

fn bytes(field: Field<'_>) -> Option<&[u8]> {
    match field {
        Field::Bytes(it) => Some(it),
        _ => None,
    }
}

fn chunks<const N: usize>(bytes: &[u8]) -> impl Iterator<Item = [u8; N]> {
    bytes.chunks_exact(N).map(|it| it.try_into().expect("a chunk is exact"))
}

struct Packed<'a> {
    one: Option<u64>,
    bytes: &'a [u8],
}

impl Iterator for Packed<'_> {
    type Item = i64;

    fn next(&mut self) -> Option<i64> {
        if let Some(it) = self.one.take() {
            return Some(it as i64);
        }
        let (value, rest) = varint(self.bytes)?;
        self.bytes = rest;
        Some(value as i64)
    }
}

/// `ModelProto`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ModelView<'a>(Message<'a>);

/// `GraphProto`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GraphView<'a>(Message<'a>);

/// `NodeProto`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NodeView<'a>(Message<'a>);

/// `AttributeProto`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AttributeView<'a>(Message<'a>);

/// `TensorProto`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TensorView<'a>(Message<'a>);

/// `ValueInfoProto`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ValueView<'a>(Message<'a>);

/// How deep graphs may lie in graphs.
const MAX_DEPTH: usize = 16;

impl<'a> ModelView<'a> {
    /// A whole model: every message in it ends where it says.
    pub(crate) fn read(bytes: &'a [u8]) -> Result<Self, String> {
        let it = Self(Message(bytes));
        if !is_whole(bytes) {
            return Err("its bytes are no ONNX model, or are cut off".to_owned());
        }
        if it.0.message(7).is_none() || it.opsets().next().is_none() {
            return Err("it has no graph or no operator set: it is no ONNX model".to_owned());
        }
        let graphs = it.0.messages(7).all(|it| is_graph(it, 0));
        let opsets = it.0.messages(8).all(|it| is_whole(it.0));
        if graphs && opsets {
            Ok(it)
        } else {
            Err(format!(
                "a part of its graph is cut off, or its graphs lie more than {MAX_DEPTH} deep"
            ))
        }
    }

    pub(crate) fn graph(self) -> GraphView<'a> {
        GraphView(self.0.message(7).expect("a model was checked to have a graph"))
    }

    pub(crate) fn producer(self) -> (&'a str, &'a str) {
        (self.0.text(2), self.0.text(3))
    }

    /// Domain and version.
    pub(crate) fn opsets(self) -> impl Iterator<Item = (&'a str, i64)> {
        self.0.messages(8).map(|it| (it.text(1), it.int(2).unwrap_or(0)))
    }

    pub(crate) fn has_functions(self) -> bool {
        self.0.messages(25).next().is_some()
    }
}

fn is_graph(it: Message<'_>, depth: usize) -> bool {
    depth < MAX_DEPTH
        && is_whole(it.0)
        && it.messages(1).all(|it| is_node(it, depth))
        && it.messages(5).all(is_tensor)
        && [11, 12, 13].iter().all(|&number| it.messages(number).all(is_value))
}

fn is_node(it: Message<'_>, depth: usize) -> bool {
    is_whole(it.0)
        && it.messages(5).all(|it| {
            is_whole(it.0)
                && [5, 10].iter().all(|&number| it.messages(number).all(is_tensor))
                && [6, 11]
                    .iter()
                    .all(|&number| it.messages(number).all(|it| is_graph(it, depth + 1)))
        })
}

fn is_tensor(it: Message<'_>) -> bool {
    is_whole(it.0)
}

fn is_value(it: Message<'_>) -> bool {
    is_whole(it.0) && it.messages(2).all(|it| is_type(it, 0))
}

fn is_type(it: Message<'_>, depth: usize) -> bool {
    let parts = |number| it.messages(number);
    depth < MAX_DEPTH
        && is_whole(it.0)
        && parts(1).all(|it| {
            is_whole(it.0)
                && it
                    .messages(2)
                    .all(|it| is_whole(it.0) && it.messages(1).all(|it| is_whole(it.0)))
        })
        && parts(4).all(|it| is_whole(it.0) && it.messages(1).all(|it| is_type(it, depth + 1)))
        && parts(5).all(|it| is_whole(it.0) && it.messages(2).all(|it| is_type(it, depth + 1)))
}

impl<'a> GraphView<'a> {
    pub(crate) fn nodes(self) -> impl Iterator<Item = NodeView<'a>> {
        self.0.messages(1).map(NodeView)
    }

    pub(crate) fn initializers(self) -> impl Iterator<Item = TensorView<'a>> {
        self.0.messages(5).map(TensorView)
    }

    pub(crate) fn inputs(self) -> impl Iterator<Item = ValueView<'a>> {
        self.0.messages(11).map(ValueView)
    }

    pub(crate) fn outputs(self) -> impl Iterator<Item = ValueView<'a>> {
        self.0.messages(12).map(ValueView)
    }

    pub(crate) fn has_sparse(self) -> bool {
        self.0.messages(15).next().is_some()
    }
}

impl<'a> NodeView<'a> {
    pub(crate) fn inputs(self) -> impl Iterator<Item = &'a str> {
        self.0.texts(1)
    }

    pub(crate) fn input(self, at: usize) -> &'a str {
        self.inputs().nth(at).unwrap_or_default()
    }

    pub(crate) fn outputs(self) -> impl Iterator<Item = &'a str> {
        self.0.texts(2)
    }

    pub(crate) fn operator(self) -> &'a str {
        self.0.text(4)
    }

    /// `""` or `"ai.onnx"` for the standard one.
    pub(crate) fn domain(self) -> &'a str {
        self.0.text(7)
    }

    pub(crate) fn attributes(self) -> impl Iterator<Item = AttributeView<'a>> {
        self.0.messages(5).map(AttributeView)
    }

    pub(crate) fn attribute(self, name: &str) -> Option<AttributeView<'a>> {
        self.attributes().find(|it| it.name() == name)
    }

    pub(crate) fn int(self, name: &str) -> Option<i64> {
        self.attribute(name)?.int()
    }

    pub(crate) fn text(self, name: &str) -> Option<&'a str> {
        self.attribute(name).map(AttributeView::text)
    }

    pub(crate) fn ints(self, name: &str) -> Vec<i64> {
        self.attribute(name).map(|it| it.ints().collect()).unwrap_or_default()
    }

    pub(crate) fn texts(self, name: &str) -> Vec<&'a str> {
        self.attribute(name).map(|it| it.texts().collect()).unwrap_or_default()
    }

    /// A list of floats, or the tensor `<name>_as_tensor` in its place.
    pub(crate) fn numbers(self, name: &str) -> Result<Vec<f64>, String> {
        let floats = self.attribute(name).map(|it| it.floats().map(f64::from).collect());
        let tensor = || {
            self.attribute(&format!("{name}_as_tensor"))
                .and_then(AttributeView::tensor)
        };
        match floats {
            Some(it) => Ok(it),
            None => tensor().map_or(Ok(Vec::new()), TensorView::numbers),
        }
    }

    pub(crate) fn tensor(self, name: &str) -> Option<TensorView<'a>> {
        self.attribute(name)?.tensor()
    }
}

impl<'a> AttributeView<'a> {
    pub(crate) fn name(self) -> &'a str {
        self.0.text(1)
    }

    pub(crate) fn int(self) -> Option<i64> {
        self.0.int(3)
    }

    pub(crate) fn float(self) -> Option<f32> {
        match self.0.one(2)? {
            Field::Fixed32(it) => Some(f32::from_le_bytes(it)),
            _ => None,
        }
    }

    /// A text, also where it was written as a list of its letters, as some writers do.
    pub(crate) fn text(self) -> &'a str {
        self.0.text(4)
    }

    pub(crate) fn tensor(self) -> Option<TensorView<'a>> {
        self.0.message(5).map(TensorView)
    }

    pub(crate) fn has_graph(self) -> bool {
        self.0.message(6).is_some() || self.0.message(11).is_some()
    }

    pub(crate) fn floats(self) -> impl Iterator<Item = f32> {
        self.0.floats(7)
    }

    pub(crate) fn ints(self) -> impl Iterator<Item = i64> {
        self.0.ints(8)
    }

    pub(crate) fn texts(self) -> impl Iterator<Item = &'a str> {
        self.0.texts(9)
    }

    fn tensors(self) -> impl Iterator<Item = TensorView<'a>> {
        self.0.messages(10).chain(self.0.messages(5)).map(TensorView)
    }
}

impl<'a> TensorView<'a> {
    pub(crate) fn name(self) -> &'a str {
        self.0.text(8)
    }

    pub(crate) fn dims(self) -> Vec<i64> {
        self.0.ints(1).collect()
    }

    pub(crate) fn element(self) -> ElementType {
        ElementType::of(self.0.int(2).unwrap_or(0))
    }

    /// Whether its numbers lie in another file.
    pub(crate) fn is_external(self) -> bool {
        self.0.int(14) == Some(1) || self.0.messages(13).next().is_some()
    }

    /// Its elements as numbers, as many as its shape says.
    pub(crate) fn numbers(self) -> Result<Vec<f64>, String> {
        let raw = self.0.message(9).map(|it| it.0).filter(|it| !it.is_empty());
        let values: Vec<f64> = match (self.element(), raw) {
            (ElementType::Float, Some(raw)) => chunks(raw).map(|it| f64::from(f32::from_le_bytes(it))).collect(),
            (ElementType::Double, Some(raw)) => chunks(raw).map(f64::from_le_bytes).collect(),
            (ElementType::Int64, Some(raw)) => chunks(raw).map(|it| i64::from_le_bytes(it) as f64).collect(),
            (ElementType::Int32, Some(raw)) => chunks(raw).map(|it| f64::from(i32::from_le_bytes(it))).collect(),
            (ElementType::Bool | ElementType::Other(2), Some(raw)) => raw.iter().map(|it| f64::from(*it)).collect(),
            (ElementType::Float, None) => self.0.floats(4).map(f64::from).collect(),
            (ElementType::Double, None) => self.0.doubles(10).collect(),
            (ElementType::Int64, None) => self.0.ints(7).map(|it| it as f64).collect(),
            (ElementType::Int32 | ElementType::Bool | ElementType::Other(2), None) => {
                self.0.ints(5).map(|it| it as f64).collect()
            }
            (other, _) => return Err(format!("tensor `{}` holds {other:?}", self.name())),
        };
        self.as_many_as_its_shape(values)
    }

    /// Its elements as texts.
    pub(crate) fn texts(self) -> Result<Vec<&'a str>, String> {
        self.as_many_as_its_shape(self.0.texts(6).collect())
    }

    fn as_many_as_its_shape<T>(self, values: Vec<T>) -> Result<Vec<T>, String> {
        let product = |n: usize, it: i64| usize::try_from(it).ok().and_then(|it| n.checked_mul(it));
        let wanted = self.0.ints(1).try_fold(1, product);
        if wanted == Some(values.len()) && !self.is_external() {
            Ok(values)
        } else {
            Err(format!(
                "tensor `{}` does not hold as many elements as its shape says",
                self.name()
            ))
        }
    }
}

impl<'a> ValueView<'a> {
    pub(crate) fn name(self) -> &'a str {
        self.0.text(1)
    }

    /// Element type and dimensions of a tensor (`None` for one that is not fixed); `None` for anything else.
    pub(crate) fn tensor(self) -> Option<(ElementType, Vec<Option<usize>>)> {
        let tensor = self.0.message(2)?.message(1)?;
        let dims = tensor.message(2).into_iter().flat_map(|it| it.messages(1));
        let size = |it: Message<'_>| it.int(1).and_then(|it| usize::try_from(it).ok()).filter(|it| *it > 0);
        Some((ElementType::of(tensor.int(1).unwrap_or(0)), dims.map(size).collect()))
    }
}

/// Every tensor of the graph and of the graphs in it.
pub(crate) fn any_tensor(graph: GraphView<'_>, found: &mut impl FnMut(TensorView<'_>) -> bool) -> bool {
    graph.initializers().any(&mut *found)
        || graph
            .nodes()
            .flat_map(NodeView::attributes)
            .any(|it| it.tensors().any(&mut *found) || graphs(it).any(|it| any_tensor(it, found)))
}

fn graphs(it: AttributeView<'_>) -> impl Iterator<Item = GraphView<'_>> {
    it.0.messages(6).chain(it.0.messages(11)).map(GraphView)
}
