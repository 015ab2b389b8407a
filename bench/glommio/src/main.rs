//! The reference of the comparison: glommio's own stream writer and reader, timed from the open until the data is durable.
//!
//!     glommio-stream write PATH SIZE CHUNK BUFFER DEPTH [allocate]
//!     glommio-stream read  PATH SIZE BUFFER DEPTH
//!     glommio-stream ranges PATH SIZE COUNT DEPTH sorted|random
//!
//! Prints one line of JSON: {"seconds": 0.5, "bytes": 1073741824}

use futures_lite::{stream, AsyncWriteExt, StreamExt};
use glommio::io::{
    DmaFile, DmaStreamReaderBuilder, DmaStreamWriterBuilder, MergedBufferLimit,
    ReadAmplificationLimit,
};
use glommio::{GlommioError, LocalExecutorBuilder, Placement};
use std::rc::Rc;
use std::time::Instant;

/// Bytes without zeros, for which a layer might take a shortcut.
fn warm_chunk(length: usize) -> Vec<u8> {
    let mut state: u32 = 1;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..length).map(|_| next()).collect()
}

async fn write(args: &[String]) -> Result<u64, GlommioError<()>> {
    let [path, size, chunk, buffer, depth, ..] = args else {
        panic!("write PATH SIZE CHUNK BUFFER DEPTH [allocate]")
    };
    let size: u64 = size.parse().expect("SIZE is a number");
    let chunk = warm_chunk(chunk.parse().expect("CHUNK is a number"));
    let file = DmaFile::create(path).await?;
    if args.get(5).is_some_and(|word| word == "allocate") {
        file.pre_allocate(size, false).await?;
    }
    let mut writer = DmaStreamWriterBuilder::new(file)
        .with_buffer_size(buffer.parse().expect("BUFFER is a number"))
        .with_write_behind(depth.parse().expect("DEPTH is a number"))
        .build();
    let mut left = size;
    while left > 0 {
        let part = left.min(chunk.len() as u64) as usize;
        writer.write_all(&chunk[..part]).await?;
        left -= part as u64;
    }
    // Makes the data durable and cuts the padding off.
    writer.close().await?;
    Ok(size)
}

async fn read(args: &[String]) -> Result<u64, GlommioError<()>> {
    let [path, size, buffer, depth] = args else {
        panic!("read PATH SIZE BUFFER DEPTH")
    };
    let size: u64 = size.parse().expect("SIZE is a number");
    let buffer: usize = buffer.parse().expect("BUFFER is a number");
    let file = DmaFile::open(path).await?;
    let mut reader = DmaStreamReaderBuilder::new(file)
        .with_buffer_size(buffer)
        .with_read_ahead(depth.parse().expect("DEPTH is a number"))
        .build();
    let mut bytes = 0;
    while bytes < size {
        // This call copies nothing: it returns a view of the reader's buffer.
        let part = reader.get_buffer_aligned(buffer as u64).await?;
        if part.is_empty() {
            break;
        }
        bytes += part.len() as u64;
    }
    reader.close().await?;
    Ok(bytes)
}

/// `count` ranges of 4 to 64 KiB of a file of `size` bytes, the same as in `programs/measure.mjs`.
fn ranges(size: u64, count: usize, sorted: bool) -> Vec<(u64, usize)> {
    let mut state: u32 = 1;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        u64::from(state >> 4)
    };
    let mut ranges: Vec<(u64, usize)> = (0..count)
        .map(|_| {
            let length = (next() % 16 + 1) * 4096;
            (next() % ((size - length) / 4096) * 4096, length as usize)
        })
        .collect();
    if sorted {
        ranges.sort_by_key(|(position, _)| *position);
    }
    ranges
}

async fn read_many(args: &[String]) -> Result<u64, GlommioError<()>> {
    let [path, size, count, depth, order] = args else {
        panic!("ranges PATH SIZE COUNT DEPTH sorted|random")
    };
    let ranges = ranges(
        size.parse().expect("SIZE is a number"),
        count.parse().expect("COUNT is a number"),
        order == "sorted",
    );
    let file = Rc::new(DmaFile::open(path).await?);
    let mut results = file
        .read_many(
            stream::iter(ranges),
            MergedBufferLimit::DeviceMaxSingleRequest,
            ReadAmplificationLimit::NoAmplification,
        )
        .with_concurrency(depth.parse().expect("DEPTH is a number"));
    let mut bytes = 0;
    while let Some(result) = results.next().await {
        bytes += result?.1.len() as u64;
    }
    drop(results);
    file.close_rc().await?;
    Ok(bytes)
}

/// Registered memory: glommio's default, or what the buffers need where that is more.
fn io_memory(args: &[String]) -> usize {
    let geometry = &args[args.len().min(2)..];
    let numbers: Vec<usize> = geometry
        .iter()
        .filter_map(|word| word.parse().ok())
        .collect();
    let &[.., buffer, depth] = numbers.as_slice() else {
        return 10 << 20;
    };
    (2 * buffer * (depth + 2)).max(10 << 20)
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (job, rest) = args.split_first().expect("write, read or ranges");
    let (job, rest) = (job.clone(), rest.to_vec());
    let started = Instant::now();
    let bytes = LocalExecutorBuilder::new(Placement::Unbound)
        .io_memory(io_memory(&rest))
        .spawn(move || async move {
            let result = match job.as_str() {
                "write" => write(&rest).await,
                "read" => read(&rest).await,
                "ranges" => read_many(&rest).await,
                other => panic!("No such job: {other}"),
            };
            result.expect("I/O")
        })
        .expect("An executor")
        .join()
        .expect("The job");
    let seconds = started.elapsed().as_secs_f64();
    println!("{{\"seconds\": {seconds}, \"bytes\": {bytes}}}");
}
