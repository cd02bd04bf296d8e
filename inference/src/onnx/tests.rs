use super::wire::Writer;
use super::*;

fn written(parts: impl FnOnce(&mut Writer)) -> Writer {
    let mut writer = Writer::default();
    parts(&mut writer);
    writer
}

/// A tensor value with these dimensions; 0 for one that is not fixed.
fn value(name: &str, element: ElementType, dims: &[i64]) -> Writer {
    let shape = written(|it| {
        for dim in dims {
            it.message(
                1,
                written(|it| if *dim == 0 { it.text(2, "N") } else { it.int(1, *dim) }),
            );
        }
    });
    let tensor = written(|it| {
        it.int(1, element.code());
        it.message(2, shape);
    });
    written(|it| {
        it.text(1, name);
        it.message(2, written(|it| it.message(1, tensor)));
    })
}

/// A graph that adds a constant of its own to its input.
fn adding() -> Vec<u8> {
    let constant = written(|it| {
        it.ints(1, [1, 2]);
        it.int(2, 1);
        it.text(8, "one");
        it.bytes(9, &[0, 0, 128, 63, 0, 0, 128, 63]);
    });
    let node = written(|it| {
        it.text(1, "x");
        it.text(1, "one");
        it.text(2, "y");
        it.text(4, "Add");
    });
    let graph = written(|it| {
        it.message(1, node);
        it.message(5, constant);
        it.message(11, value("x", ElementType::Float, &[0, 2]));
        it.message(11, value("one", ElementType::Float, &[1, 2]));
        it.message(12, value("y", ElementType::Float, &[0, 2]));
    });
    let opset = written(|it| it.int(2, 17));
    let model = written(|it| {
        it.int(1, 8);
        it.text(2, "by hand");
        it.message(8, opset);
        it.message(7, graph);
    });
    model.into_bytes()
}

#[test]
fn a_graph_says_what_it_takes_and_gives() {
    let shape = describe("m.onnx", &adding()).unwrap();
    let value = |name: &str| GraphValue {
        name: name.to_owned(),
        tensor: Some((ElementType::Float, vec![None, Some(2)])),
    };
    assert_eq!(
        (shape.inputs, shape.outputs),
        (vec![value("x")], vec![value("y")]),
        "constants are not sent"
    );
    assert_eq!(shape.domains, [(String::new(), 17)]);
    assert_eq!((shape.producer.as_str(), shape.external_data), ("by hand", false));
}

#[test]
fn a_file_cut_off_anywhere_is_refused() {
    let bytes = adding();
    for end in 0..bytes.len() {
        let error = describe("m.onnx", &bytes[..end]).unwrap_err().to_string();
        assert!(error.starts_with("cannot import `m.onnx`: "), "{end}: {error}");
    }
}

#[test]
fn graphs_in_graphs_end_somewhere() {
    let mut graph = Writer::default();
    for _ in 0..1000 {
        let inner = std::mem::take(&mut graph);
        let attribute = written(|it| it.message(6, inner));
        graph = written(|it| it.message(1, written(|it| it.message(5, attribute))));
    }
    let model = written(|it| {
        it.message(8, Writer::default());
        it.message(7, graph);
    });
    assert!(describe("m.onnx", &model.into_bytes()).is_err());
}
