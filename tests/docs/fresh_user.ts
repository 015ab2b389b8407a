// A user with Deno, but without this project: an empty folder, an empty cache, and a given environment.

import { type Ended, root, run, type RunOptions } from "../setup/command.ts";

export class FreshUser {
  private constructor(
    /** The folder of the user's programs. */
    readonly folder: string,
    /** The only folder that these programs may read and write. */
    readonly data: string,
    /** Deno's cache. It has only npm's packages. */
    readonly cache: string,
  ) {}

  static async in(directory: string): Promise<FreshUser> {
    const user = new FreshUser(`${directory}/folder`, `${directory}/data`, `${directory}/cache`);
    for (const path of [user.folder, user.data, user.cache]) await Deno.mkdir(path);
    // Other tests need the same packages.
    const { npmCache } = JSON.parse((await run(Deno.execPath(), ["info", "--json"])).stdout);
    await Deno.mkdir(npmCache, { recursive: true });
    await Deno.symlink(npmCache, `${user.cache}/npm`);
    return user;
  }

  /** Exactly the flags of the README. */
  get flags(): string[] {
    const readme = Deno.readTextFileSync(`${root}/README.md`);
    const [, flags = ""] = /^deno run (--allow-.*) main\.ts$/m.exec(readme) ?? [];
    return flags.replaceAll("=data", `=${this.data}`).split(" ");
  }

  async program(name: string, text: string): Promise<void> {
    await Deno.writeTextFile(`${this.folder}/${name}`, text);
  }

  /** Runs Deno in the folder. Of the variables of this process it has none. */
  deno(args: readonly string[], options?: RunOptions): Promise<Ended> {
    return this.run(Deno.execPath(), args, options);
  }

  /** As {@linkcode FreshUser.deno}, with another program. */
  run(program: string, args: readonly string[], options?: RunOptions): Promise<Ended> {
    return run(program, args, {
      cwd: this.folder,
      clearEnv: true,
      ...options,
      env: { DENO_DIR: this.cache, ...options?.env },
    });
  }
}
