// A store of resumable uploads for @tus/server. The bytes so far are in a file with a temporary name; the upload
// appears when it is complete and durable.

import { DataStore, ERRORS, Upload } from "npm:@tus/server@2.4.5";
import type { Readable } from "node:stream";
import { DmaFile, DmaStreamWriter } from "../../../mod.ts";

/** An upload: its final length, and its writer. */
interface Entry {
  readonly upload: Upload;
  writing: Promise<unknown>;
}

export class DmaStore extends DataStore {
  readonly #directory: string;
  readonly #entries = new Map<string, Entry>();

  constructor(directory: string) {
    super();
    this.extensions = ["creation"];
    this.#directory = directory;
  }

  override async create(upload: Upload): Promise<Upload> {
    const file = await DmaFile.create(this.#partial(upload.id));
    await file.close();
    this.#entries.set(upload.id, { upload, writing: Promise.resolve() });
    if (upload.size === 0) await this.write([], upload.id, 0);
    return upload;
  }

  /** The offset is the durable position, from which a disconnected client resumes. */
  override async getUpload(id: string): Promise<Upload> {
    const { upload, writing } = this.#entry(id);
    await writing.catch(() => {});
    const isWhole = !await exists(this.#partial(id));
    const { size } = await Deno.stat(isWhole ? this.#whole(id) : this.#partial(id));
    return new Upload({ ...upload, offset: size } as ConstructorParameters<typeof Upload>[0]);
  }

  override write(
    stream: Readable | AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
    id: string,
    offset: number,
  ): Promise<number> {
    const entry = this.#entry(id);
    return entry.writing = this.#write(stream as AsyncIterable<Uint8Array>, entry.upload, offset);
  }

  async #write(
    chunks: AsyncIterable<Uint8Array>,
    { id, size }: Upload,
    offset: number,
  ): Promise<number> {
    const file = await DmaFile.open(this.#partial(id), { write: true });
    // close() keeps the bytes so far, also after a disconnect, so that the client need not send them again.
    await using writer = new DmaStreamWriter(file, { position: offset });
    for await (const chunk of chunks) await writer.write(chunk);
    if (writer.currentPos === size) {
      await writer.sync({ tail: true });
      await file.rename(this.#whole(id));
    }
    return writer.currentPos;
  }

  #entry(id: string): Entry {
    const entry = this.#entries.get(id);
    if (!entry) throw ERRORS.FILE_NOT_FOUND;
    return entry;
  }

  #partial(id: string): string {
    return `${this.#directory}/${id}.partial`;
  }

  #whole(id: string): string {
    return `${this.#directory}/${id}`;
  }
}

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}
