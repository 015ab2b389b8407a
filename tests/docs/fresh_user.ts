// A user with Deno, but without this project: an empty folder, an empty cache, and a given environment.

import { run } from "../setup/command.ts";

export interface UserRan {
  readonly code: number;
  /** Standard output, without the newline at its end. */
  readonly output: string;
  /** Standard error, for the message of a failed assertion. */
  readonly error: string;
}

/** The non-empty parts of a run's environment. */
export interface UserSurroundings {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

/** The folder of Deno's downloads on this machine, such as npm's packages in `npm`. Other tests need the same ones. */
export async function testersCache(): Promise<string> {
  return JSON.parse((await run(Deno.execPath(), ["info", "--json"])).stdout).denoDir;
}

/** The variables of this process, for runs that may download packages: they name proxies and certificates. */
export function testersEnvironment(): Record<string, string> {
  const { DENO_DIR: _, ...rest } = Deno.env.toObject();
  return rest;
}

export class FreshUser {
  /** The folder of the user's programs. */
  readonly folder: string;
  /** The only folder that these programs may read and write. */
  readonly data: string;
  /** Deno's cache. It has only npm's packages. */
  readonly cache: string;

  private constructor(directory: string) {
    this.folder = `${directory}/folder`;
    this.data = `${directory}/data`;
    this.cache = `${directory}/cache`;
  }

  static async in(directory: string): Promise<FreshUser> {
    const user = new FreshUser(directory);
    for (const path of [user.folder, user.data, user.cache]) await Deno.mkdir(path);
    const packages = `${await testersCache()}/npm`;
    await Deno.mkdir(packages, { recursive: true });
    await Deno.symlink(packages, `${user.cache}/npm`);
    return user;
  }

  /** Exactly the flags of the README. */
  get flags(): string[] {
    const readme = Deno.readTextFileSync(new URL("../../README.md", import.meta.url));
    const [, flags = ""] = /^deno run (--allow-.*) main\.ts$/m.exec(readme) ?? [];
    return flags.replaceAll("=data", `=${this.data}`).split(" ");
  }

  async program(name: string, text: string): Promise<void> {
    await Deno.writeTextFile(`${this.folder}/${name}`, text);
  }

  /** Runs Deno in the folder, with only the given variables and the one of its cache. */
  async deno(args: readonly string[], surroundings: UserSurroundings = {}): Promise<UserRan> {
    return await this.run(Deno.execPath(), args, surroundings);
  }

  /** As {@linkcode FreshUser.deno}, with another program. */
  async run(
    program: string,
    args: readonly string[],
    { env = {}, cwd = this.folder }: UserSurroundings = {},
  ): Promise<UserRan> {
    const { code, stdout, stderr } = await new Deno.Command(program, {
      args: [...args],
      cwd,
      clearEnv: true,
      env: { DENO_DIR: this.cache, NO_COLOR: "1", ...env },
      stdin: "null",
    }).output();
    const [output, error] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
    return { code, output: output!.trimEnd(), error: error! };
  }
}
