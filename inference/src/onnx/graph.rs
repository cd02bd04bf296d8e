//! A graph being written: operators are functions from tensors to tensors, constants are numbers.

use super::proto::ElementType;
use super::wire::Writer;

/// Versions that the operators written here are of. Trees in double precision with category sets came with ai.onnx.ml 5.
const OPSET: i64 = 18;
const ML_OPSET: i64 = 5;
const IR_VERSION: i64 = 10;

/// A tensor by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tensor(String);

/// A dimension of an input or output.
#[derive(Debug, Clone, Copy)]
pub(super) enum Dim {
    /// The number of rows or series.
    Rows,
    /// A fixed size.
    Size(usize),
}

/// An attribute of an operator.
#[derive(Debug)]
pub(super) enum Attribute<'a> {
    Int(i64),
    Float(f32),
    Ints(Vec<i64>),
    Floats(Vec<f32>),
    Texts(Vec<&'a str>),
    /// A one-dimensional tensor.
    Doubles(&'a [f64]),
    Bytes(&'a [u8]),
}

/// The graph so far.
#[derive(Debug, Default)]
pub(super) struct Graph {
    nodes: Writer,
    constants: Writer,
    inputs: Writer,
    outputs: Writer,
    metadata: Vec<(String, String)>,
    names: usize,
}

impl Graph {
    /// An input of the model. `doc` says what the caller should know of it.
    pub(super) fn input(&mut self, name: &str, element: ElementType, dims: &[Dim], doc: &str) -> Tensor {
        self.inputs.message(11, value(name, element, dims, doc));
        Tensor(name.to_owned())
    }

    /// Names a tensor as an output of the model.
    pub(super) fn output(&mut self, tensor: &Tensor, name: &str, element: ElementType, dims: &[Dim], doc: &str) {
        self.node("Identity", "", &[tensor], &[], name.to_owned());
        self.outputs.message(12, value(name, element, dims, doc));
    }

    /// A key and a text that travel with the model.
    pub(super) fn note(&mut self, key: &str, text: &str) {
        self.metadata.push((key.to_owned(), text.to_owned()));
    }

    /// A standard operator with one output.
    pub(super) fn op(&mut self, operator: &str, inputs: &[&Tensor]) -> Tensor {
        self.op_with(operator, inputs, &[])
    }

    pub(super) fn op_with(
        &mut self,
        operator: &str,
        inputs: &[&Tensor],
        attributes: &[(&str, Attribute<'_>)],
    ) -> Tensor {
        let name = self.fresh();
        self.node(operator, "", inputs, attributes, name)
    }

    /// An operator of ai.onnx.ml.
    pub(super) fn ml(&mut self, operator: &str, inputs: &[&Tensor], attributes: &[(&str, Attribute<'_>)]) -> Tensor {
        let name = self.fresh();
        self.node(operator, "ai.onnx.ml", inputs, attributes, name)
    }

    /// One number.
    pub(super) fn number(&mut self, it: f64) -> Tensor {
        self.numbers(&[], &[it])
    }

    /// Numbers of some shape, row-major.
    pub(super) fn numbers(&mut self, dims: &[usize], numbers: &[f64]) -> Tensor {
        let raw = numbers.iter().flat_map(|it| it.to_le_bytes()).collect();
        self.constant(ElementType::Double, dims, raw)
    }

    /// Integers of some shape.
    pub(super) fn ints(&mut self, dims: &[usize], numbers: &[i64]) -> Tensor {
        let raw = numbers.iter().flat_map(|it| it.to_le_bytes()).collect();
        self.constant(ElementType::Int64, dims, raw)
    }

    /// A list of texts.
    pub(super) fn texts(&mut self, texts: &[&str]) -> Tensor {
        let name = self.fresh();
        let mut tensor = tensor_head(ElementType::String, &[texts.len()], &name);
        texts.iter().for_each(|it| tensor.text(6, it));
        self.constants.message(5, tensor);
        Tensor(name)
    }

    pub(super) fn cast(&mut self, it: &Tensor, to: ElementType) -> Tensor {
        self.op_with("Cast", &[it], &[("to", Attribute::Int(to.code()))])
    }

    /// Columns side by side.
    pub(super) fn join(&mut self, columns: &[&Tensor]) -> Tensor {
        self.join_on(1, columns)
    }

    pub(super) fn join_on(&mut self, axis: i64, parts: &[&Tensor]) -> Tensor {
        self.op_with("Concat", parts, &[("axis", Attribute::Int(axis))])
    }

    /// The same elements in another shape.
    pub(super) fn shaped(&mut self, it: &Tensor, dims: &[i64]) -> Tensor {
        let dims = self.ints(&[dims.len()], dims);
        self.op("Reshape", &[it, &dims])
    }

    /// With one more axis, of size 1.
    pub(super) fn opened(&mut self, it: &Tensor, axis: i64) -> Tensor {
        let axes = self.ints(&[1], &[axis]);
        self.op("Unsqueeze", &[it, &axes])
    }

    /// Some positions of an axis.
    pub(super) fn pick(&mut self, it: &Tensor, axis: i64, positions: &[i64]) -> Tensor {
        let positions = self.ints(&[positions.len()], positions);
        self.op_with("Gather", &[it, &positions], &[("axis", Attribute::Int(axis))])
    }

    /// Rows of a constant by index.
    pub(super) fn look_up(&mut self, table: &Tensor, index: &Tensor) -> Tensor {
        self.op("Gather", &[table, index])
    }

    /// The sum over an axis, which stays with size 1 where `keep`.
    pub(super) fn sum(&mut self, it: &Tensor, axis: i64, keep: bool) -> Tensor {
        self.reduced("ReduceSum", it, axis, keep)
    }

    pub(super) fn reduced(&mut self, operator: &str, it: &Tensor, axis: i64, keep: bool) -> Tensor {
        let axes = self.ints(&[1], &[axis]);
        self.op_with(operator, &[it, &axes], &[("keepdims", Attribute::Int(i64::from(keep)))])
    }

    pub(super) fn add(&mut self, a: &Tensor, b: &Tensor) -> Tensor {
        self.op("Add", &[a, b])
    }

    pub(super) fn sub(&mut self, a: &Tensor, b: &Tensor) -> Tensor {
        self.op("Sub", &[a, b])
    }

    pub(super) fn mul(&mut self, a: &Tensor, b: &Tensor) -> Tensor {
        self.op("Mul", &[a, b])
    }

    pub(super) fn div(&mut self, a: &Tensor, b: &Tensor) -> Tensor {
        self.op("Div", &[a, b])
    }

    pub(super) fn choose(&mut self, condition: &Tensor, yes: &Tensor, no: &Tensor) -> Tensor {
        self.op("Where", &[condition, yes, no])
    }

    pub(super) fn is_nan(&mut self, it: &Tensor) -> Tensor {
        self.op("IsNaN", &[it])
    }

    /// `it` between two numbers.
    pub(super) fn clamp(&mut self, it: &Tensor, low: f64, high: f64) -> Tensor {
        let (low, high) = (self.number(low), self.number(high));
        self.op("Clip", &[it, &low, &high])
    }

    /// The file.
    pub(super) fn finish(self, name: &str, doc: &str) -> Vec<u8> {
        let mut graph = Writer::default();
        graph.append(self.nodes);
        graph.text(2, name);
        graph.append(self.constants);
        graph.append(self.inputs);
        graph.append(self.outputs);
        let mut model = Writer::default();
        model.int(1, IR_VERSION);
        model.text(2, "foretell");
        model.text(3, env!("CARGO_PKG_VERSION"));
        model.text(6, doc);
        model.message(7, graph);
        for (domain, version) in [("", OPSET), ("ai.onnx.ml", ML_OPSET)] {
            let mut opset = Writer::default();
            opset.text(1, domain);
            opset.int(2, version);
            model.message(8, opset);
        }
        for (key, text) in self.metadata {
            let mut entry = Writer::default();
            entry.text(1, &key);
            entry.text(2, &text);
            model.message(14, entry);
        }
        model.into_bytes()
    }

    fn constant(&mut self, element: ElementType, dims: &[usize], raw: Vec<u8>) -> Tensor {
        let name = self.fresh();
        let mut tensor = tensor_head(element, dims, &name);
        tensor.bytes(9, &raw);
        self.constants.message(5, tensor);
        Tensor(name)
    }

    fn node(
        &mut self,
        operator: &str,
        domain: &str,
        inputs: &[&Tensor],
        attributes: &[(&str, Attribute<'_>)],
        output: String,
    ) -> Tensor {
        let mut node = Writer::default();
        inputs.iter().for_each(|it| node.text(1, &it.0));
        node.text(2, &output);
        node.text(4, operator);
        for (name, it) in attributes {
            node.message(5, attribute(name, it));
        }
        if !domain.is_empty() {
            node.text(7, domain);
        }
        self.nodes.message(1, node);
        Tensor(output)
    }

    /// No input of a caller is named so.
    fn fresh(&mut self) -> String {
        self.names += 1;
        format!("/{}", self.names)
    }
}

fn tensor_head(element: ElementType, dims: &[usize], name: &str) -> Writer {
    let mut tensor = Writer::default();
    tensor.ints(1, dims.iter().map(|it| *it as i64));
    tensor.int(2, element.code());
    tensor.text(8, name);
    tensor
}

fn attribute(name: &str, it: &Attribute<'_>) -> Writer {
    let mut writer = Writer::default();
    writer.text(1, name);
    let kind = match it {
        Attribute::Float(it) => {
            writer.float(2, *it);
            1
        }
        Attribute::Int(it) => {
            writer.int(3, *it);
            2
        }
        Attribute::Doubles(it) => {
            let mut tensor = tensor_head(ElementType::Double, &[it.len()], "");
            tensor.bytes(9, &it.iter().flat_map(|it| it.to_le_bytes()).collect::<Vec<u8>>());
            writer.message(5, tensor);
            4
        }
        Attribute::Bytes(it) => {
            let mut tensor = tensor_head(ElementType::Other(2), &[it.len()], "");
            tensor.bytes(9, it);
            writer.message(5, tensor);
            4
        }
        Attribute::Floats(it) => {
            it.iter().for_each(|it| writer.float(7, *it));
            6
        }
        Attribute::Ints(it) => {
            it.iter().for_each(|it| writer.int(8, *it));
            7
        }
        Attribute::Texts(it) => {
            it.iter().for_each(|it| writer.text(9, it));
            8
        }
    };
    writer.int(20, kind);
    writer
}

fn value(name: &str, element: ElementType, dims: &[Dim], doc: &str) -> Writer {
    let mut shape = Writer::default();
    for dim in dims {
        let mut size = Writer::default();
        match dim {
            Dim::Rows => size.text(2, "N"),
            Dim::Size(it) => size.int(1, *it as i64),
        }
        shape.message(1, size);
    }
    let mut tensor = Writer::default();
    tensor.int(1, element.code());
    tensor.message(2, shape);
    let mut kind = Writer::default();
    kind.message(1, tensor);
    let mut value = Writer::default();
    value.text(1, name);
    value.message(2, kind);
    value.text(3, doc);
    value
}
