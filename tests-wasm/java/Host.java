import com.dylibso.chicory.runtime.ExportFunction;
import com.dylibso.chicory.runtime.HostFunction;
import com.dylibso.chicory.runtime.Instance;
import com.dylibso.chicory.runtime.Store;
import com.dylibso.chicory.wasi.WasiOptions;
import com.dylibso.chicory.wasi.WasiPreview1;
import com.dylibso.chicory.wasm.Parser;
import com.dylibso.chicory.wasm.types.FunctionType;
import com.dylibso.chicory.wasm.types.ValType;
import java.io.File;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.function.UnaryOperator;

/**
 * Loads modules in Chicory, the host of the Java provider, and checks the answers of ours; the time of an evaluation of
 * both.
 *
 * <p>Usage: java -cp CHICORY Host.java DOCUMENTS MODULE OFFICIAL
 */
class Host {
    public static void main(String[] arguments) throws Exception {
        List<String> lines = Files.readAllLines(Path.of(arguments[0]));
        UnaryOperator<String> ours = load(arguments[1]);
        // The second time with flags that are kept.
        for (int round = 0; round < 2; round++) {
            for (String line : lines) {
                check(ours, line);
            }
        }
        System.out.println("Chicory: " + 2 * lines.size() + " equal answers");
        UnaryOperator<String> official = load(arguments[2]);
        check(official, lines.get(0));
        System.out.printf(
                "an evaluation of a static flag takes %.0f µs with the official module, %.0f µs with this one%n",
                time(official, lines.get(0)), time(ours, lines.get(0)));
    }

    /** An instance as a function from an input document to its output document. */
    static UnaryOperator<String> load(String path) {
        WasiPreview1 wasi = WasiPreview1.builder()
                .withOptions(WasiOptions.builder().inheritSystem().build())
                .build();
        Store store = new Store().addFunction(wasi.toHostFunctions());
        // The official module exits with 0 when it has started.
        store.addFunction(new HostFunction(
                "wasi_snapshot_preview1",
                "proc_exit",
                FunctionType.of(List.of(ValType.I32), List.of()),
                (instance, codes) -> null));
        Instance instance = store.instantiate("evaluation", Parser.parse(new File(path)));
        ExportFunction malloc = instance.export("malloc");
        ExportFunction free = instance.export("free");
        ExportFunction evaluate = instance.export("evaluate");
        return input -> {
            byte[] bytes = input.getBytes(StandardCharsets.UTF_8);
            int address = (int) malloc.apply(bytes.length)[0];
            instance.memory().write(address, bytes);
            long result = evaluate.apply(address, bytes.length)[0];
            String output = instance.memory().readString((int) (result >>> 32), (int) result);
            // With the length, as the provider calls it.
            free.apply(address, bytes.length);
            return output;
        };
    }

    static void check(UnaryOperator<String> module, String line) {
        String[] parts = line.split("\t");
        String answer = module.apply(parts[0]);
        if (!answer.equals(parts[1])) {
            throw new AssertionError(parts[0] + ": " + answer + " instead of " + parts[1]);
        }
    }

    /** Microseconds of an evaluation, of the fastest of some rounds. */
    static double time(UnaryOperator<String> module, String line) {
        String input = line.split("\t")[0];
        double best = Double.MAX_VALUE;
        for (int round = 0; round < 10; round++) {
            long begin = System.nanoTime();
            for (int count = 0; count < 100; count++) {
                module.apply(input);
            }
            best = Math.min(best, (System.nanoTime() - begin) / 100 / 1e3);
        }
        return best;
    }
}
