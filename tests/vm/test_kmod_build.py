# SPDX-License-Identifier: BSD-2-Clause
# check: full timeout=1200 needs=make,gcc-12,sparse,dkms,modinfo
"""causeway.ko is built without a warning of gcc (W=1) or of sparse, which is shown to warn; modinfo says
what it should; and DKMS builds it for each kernel from what `meson install` installs."""
import os
import re
import subprocess

import kmod
from guest import SRC, check, host, same

# For sparse: memory of the user is not ours to look into.
FAULT = """
static int cw_fault(int __user *p);
static int cw_fault(int __user *p)
{
	return *p;
}
void *cw_faults[] __used = { cw_fault };
"""
# Nothing of the machine's own DKMS: neither its trees nor a key to sign with.
DKMS = {**os.environ, "sign_file": "none"}


def warnings(said):
    return [line for line in said.splitlines() if re.search(r"\bwarning:|\berror:|^WARNING|ERROR:", line)]


def objects(directory):
    top = os.path.join(directory, "kmod")
    return sorted(os.path.relpath(os.path.join(folder, name[:-2]), top)
                  for folder, _, files in os.walk(top) for name in files
                  if name.endswith(".c") and not name.endswith(".mod.c"))


def looks_clean(kernel):
    """What the other tests' guests load: each of its files was compiled and seen by sparse, without a
    warning."""
    module = kmod.build(kernel)
    directory = os.path.dirname(os.path.dirname(module))
    with open(os.path.join(directory, kmod.LOG), encoding="utf-8") as f:
        said = f.read()
    same(f"{kernel}: warnings", warnings(said), [])
    looked = re.findall(r"^\s*CHECK\s+(?:\S*/kmod/)?(\S+)\.c$", said, re.M)
    same(f"{kernel}: files that sparse has seen", sorted(looked), objects(directory))
    return module


def fault_is_told(kernel):
    """As for the one before, but with a fault in one file."""
    directory = kmod.source(os.path.abspath(f"source-{kernel}"))
    victim = objects(directory)[0]
    with open(os.path.join(directory, f"kmod/{victim}.c"), "a", encoding="utf-8") as f:
        f.write(FAULT)
    told = host(f"make -C {kmod.headers(kernel)} M={directory}/kmod C=1 {victim}.o")
    check("dereference of noderef" in told, f"sparse does not warn of a fault:\n{told}")


def fields(path):
    """What modinfo says: {field: [values]}."""
    found = {}
    for line in host(f"modinfo {path}").splitlines():
        name, _, value = line.partition(":")
        found.setdefault(name, []).append(value.strip())
    return found


def says(path, kernel, version):
    info = fields(path)
    same("license", info.get("license"), ["Dual BSD/GPL"])
    same("version", info.get("version"), [version])
    same("release", info["vermagic"][0].split()[0], kmod.release(kernel))
    same("aliases", sorted(info.get("alias", [])), ["fs-causeway", "virtio:d0000001Av*"])
    for name in ("description", "author"):
        check(info.get(name, [""])[0], f"{kernel}: modinfo has no {name}")
    for parameter in info.get("parm", []):
        check(re.fullmatch(r"\w+:\S.* \(\w+( of \w+)*\)", parameter),
              f"a parameter without a description: {parameter}")


def project_version():
    with open(os.path.join(SRC, "meson.build"), encoding="utf-8") as f:
        return re.search(r"version: '([\d.]+)'", f.read()).group(1)


def installed(version):
    """The directory of the source after `meson install`."""
    subprocess.run(["meson", "install", "-C", os.environ["CAUSEWAY_PLAIN_BUILD"], "--no-rebuild",
                    "--tags", "kmod", "--destdir", os.path.abspath("destination")],
                   stdout=subprocess.DEVNULL, check=True)
    found = [top for top, _, files in os.walk("destination") if "dkms.conf" in files]
    same("directories with a dkms.conf", [os.path.basename(d) for d in found],
         [f"causeway-{version}"])
    return found[0]


def dkms(command, version, *more, kernel=None):
    """With trees of its own below the test's directory."""
    argv = ["dkms", command, "--sourcetree", os.path.abspath("tree"), "--dkmstree",
            os.path.abspath("dkms"), "--installtree", os.path.abspath("modules"), *more]
    if command != "add":
        argv += ["-m", "causeway", "-v", version]
    if kernel:
        argv += ["-k", kmod.release(kernel), "--kernelsourcedir", kmod.headers(kernel)]
    done = subprocess.run(argv, env=DKMS, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False)
    log = "".join(host(f"tail -n 40 {os.path.join(top, 'make.log')}")
                  for top, _, files in os.walk("dkms") if "make.log" in files)
    check(done.returncode == 0, f"{' '.join(argv)}: {done.returncode}\n{done.stdout}\n{log}")


def package(version):
    """As a user does it: add, build, install, and away again."""
    place = installed(version)
    # Whatever is built there must not need the checkout.
    check(not os.path.exists(os.path.join(place, "meson.build")), "meson.build is installed")
    for name in ("tree", "dkms", "modules"):
        os.mkdir(name)
    dkms("add", version, place)
    for kernel in kmod.KERNELS:
        os.mkdir(f"modules/{kmod.release(kernel)}")
        dkms("build", version, kernel=kernel)
        dkms("install", version, "--no-depmod", kernel=kernel)
        made = host(f"find modules/{kmod.release(kernel)} -name 'causeway.ko*'").split()
        same(f"{kernel}: modules", len(made), 1)
        says(made[0], kernel, version)
    dkms("remove", version, "--all", "--no-depmod")
    same("left after removal", host("find modules -name 'causeway*'"), "")


before = sorted(os.listdir(os.path.join(SRC, "kmod")))
for k in kmod.KERNELS:
    print(k, flush=True)
    says(looks_clean(k), k, "0.0.0")
fault_is_told(kmod.KERNELS[0])
package(project_version())
same("the checkout", sorted(os.listdir(os.path.join(SRC, "kmod"))), before)
