//! What a row costs in a network: our loops beside the plainest ones, and beside candle's tensors with `--features neural`; with
//! `--features onnx`, what it costs in ONNX Runtime's session. `cargo bench -p foretell-inference --bench networks`; figures are
//! comparable within one run only.

use std::hint::black_box;
use std::time::{Duration, Instant};

use foretell_features::FeatureMatrix;
use foretell_inference::Predictor;
use foretell_inference::network::Network;
use foretell_inference::testing::random_rows;

/// Rounds of a measurement; the fastest counts, since other work on the machine only slows.
const ROUNDS: usize = 20;
const ROUND: Duration = Duration::from_millis(20);
const BATCHES: [usize; 4] = [1, 8, 64, 1024];

fn main() {
    println!("{:<18} {:>6}  microseconds per row", "layers", "batch");
    for widths in [&[30, 64, 64, 1][..], &[30, 256, 256, 1], &[100, 512, 512, 512, 10]] {
        let layers = random_layers(widths);
        let network = network(&layers);
        for batch in BATCHES {
            let x = random_rows(widths[0], batch, 1);
            let x = FeatureMatrix::from_rows(
                widths[0],
                x.values()
                    .iter()
                    .map(|it| if it.is_nan() { 0.5 } else { *it })
                    .collect(),
            );
            report(widths, &layers, &network, &x);
        }
    }
    #[cfg(feature = "onnx")]
    sessions();
}

fn report(widths: &[usize], layers: &[Layer], network: &Network, x: &FeatureMatrix) {
    let n = x.n_rows() as f64;
    let mut out = vec![0.0; x.n_rows() * network.n_outputs()];
    let plain: Vec<f64> = x.rows().flat_map(|row| plainest(layers, row)).collect();
    network.predict_into(x, &mut out).expect("the widths agree");
    let close = plain
        .iter()
        .zip(&out)
        .all(|(a, b)| (a - b).abs() <= 1e-9 * a.abs().max(1.0));
    assert!(close, "the plainest loops answer the same");
    let plain = fastest(|| x.rows().for_each(|row| drop(black_box(plainest(layers, row))))) / n;
    let own = fastest(|| match x.n_rows() {
        1 => black_box(network.predict_row_into(x.row(0), &mut out)).expect("the widths agree"),
        _ => black_box(network.predict_into(x, &mut out)).expect("the widths agree"),
    }) / n;
    let shape: Vec<String> = widths.iter().map(usize::to_string).collect();
    print!(
        "{:<18} {:>6}  plainest {plain:.2} ours {own:.2} ({:.1}x)",
        shape.join("-"),
        x.n_rows(),
        plain / own
    );
    #[cfg(feature = "neural")]
    candle(network, x, own);
    println!();
}

#[cfg(feature = "neural")]
fn candle(network: &Network, x: &FeatureMatrix, own: f64) {
    use foretell_inference::network::{CandleNetwork, Device, Precision};
    for (name, precision) in [("float64", Precision::Double), ("float32", Precision::Single)] {
        let network = CandleNetwork::new(network.clone(), Device::Cpu, precision).expect("the processor is there");
        let micros = fastest(|| drop(black_box(network.predict(x)))) / x.n_rows() as f64;
        print!(" candle {name} {micros:.2} ({:.1}x ours)", micros / own);
    }
}

/// A matrix, outputs by inputs, and a bias.
struct Layer {
    weights: Vec<Vec<f64>>,
    bias: Vec<f64>,
}

/// What anyone would write first.
fn plainest(layers: &[Layer], row: &[f64]) -> Vec<f64> {
    let mut x = row.to_vec();
    for (at, layer) in layers.iter().enumerate() {
        let sum = |(weights, bias): (&Vec<f64>, &f64)| bias + weights.iter().zip(&x).map(|(w, x)| w * x).sum::<f64>();
        let mut next: Vec<f64> = layer.weights.iter().zip(&layer.bias).map(sum).collect();
        if at + 1 < layers.len() {
            next.iter_mut().for_each(|it| *it = it.max(0.0));
        }
        x = next;
    }
    x
}

fn random_layers(widths: &[usize]) -> Vec<Layer> {
    let number = |at: usize| f64::from(((at * 7919 + 13) % 2003) as f32 / 2003.0 - 0.5);
    let layer = |pair: &[usize]| Layer {
        weights: (0..pair[1])
            .map(|it| {
                (0..pair[0])
                    .map(|at| number(it * pair[0] + at) / (pair[0] as f64).sqrt())
                    .collect()
            })
            .collect(),
        bias: (0..pair[1]).map(number).collect(),
    };
    widths.windows(2).map(layer).collect()
}

/// The same layers as the two files of a network.
fn network(layers: &[Layer]) -> Network {
    let (mut header, mut data) = (Vec::new(), Vec::new());
    for (at, layer) in layers.iter().enumerate() {
        let shape = format!("{},{}", layer.weights.len(), layer.weights[0].len());
        let weights: Vec<f64> = layer.weights.iter().flatten().copied().collect();
        for (part, shape, numbers) in [
            ("weight", shape, &weights),
            ("bias", layer.bias.len().to_string(), &layer.bias),
        ] {
            let from = data.len();
            data.extend(numbers.iter().flat_map(|it| it.to_le_bytes()));
            let to = data.len();
            header.push(format!(
                r#""{at}.{part}":{{"dtype":"F64","shape":[{shape}],"data_offsets":[{from},{to}]}}"#
            ));
        }
    }
    let header = format!("{{{}}}", header.join(","));
    let weights = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &data].concat();
    let inputs = (0..layers[0].weights[0].len()).map(|it| format!(r#"{{"name":"f{it}","kind":"numeric"}}"#));
    let linear = (0..layers.len()).map(|it| format!(r#"{{"kind":"linear","name":"{it}"}}"#));
    let architecture = format!(
        r#"{{"format":1,"task":"regression","link":"identity","inputs":[{}],"layers":[{}]}}"#,
        inputs.collect::<Vec<_>>().join(","),
        linear.collect::<Vec<_>>().join(r#",{"kind":"relu"},"#)
    );
    Network::from_files(architecture.as_bytes(), &weights).expect("the files say the same")
}

#[cfg(feature = "onnx")]
fn sessions() {
    let graph = include_bytes!("../tests/fixtures/sessions/svm_multiclass/model.onnx");
    let imported = match foretell_inference::session::import("model.onnx", graph) {
        Ok(imported) => imported,
        Err(error) => return println!("sessions skipped: {error}"),
    };
    for batch in BATCHES {
        let x = FeatureMatrix::from_rows(4, (0..4 * batch).map(|it| (it % 17) as f64 / 17.0).collect());
        let micros = fastest(|| drop(black_box(imported.predictor.predictor().predict(&x)))) / batch as f64;
        println!("a support vector machine in ONNX Runtime, batch {batch}: {micros:.1}");
    }
}

/// Microseconds of one call in the fastest round.
fn fastest(mut call: impl FnMut()) -> f64 {
    call();
    let mut round = || {
        let (began, mut calls) = (Instant::now(), 0_u32);
        while began.elapsed() < ROUND {
            call();
            calls += 1;
        }
        began.elapsed().as_secs_f64() * 1e6 / f64::from(calls)
    };
    (0..ROUNDS).map(|_| round()).fold(f64::INFINITY, f64::min)
}
