import java.io.BufferedReader;
import java.io.DataInputStream;
import java.io.InputStreamReader;
import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * Reads texts from a file (each after its length, four bytes), then goes over them each time a line comes on standard
 * input, and answers with the seconds of CPU of this thread and a sum. The collector and the compiler are not counted.
 */
final class Turns {
  /** Reads one text; its sum keeps the compiler from leaving the work out. */
  interface Reader {
    long read(String text) throws Exception;
  }

  static void take(String path, Reader reader) throws Exception {
    List<byte[]> texts = new ArrayList<>();
    try (DataInputStream in = new DataInputStream(Files.newInputStream(Path.of(path)))) {
      while (in.available() > 0) {
        texts.add(in.readNBytes(in.readInt()));
      }
    }
    ThreadMXBean threads = ManagementFactory.getThreadMXBean();
    BufferedReader commands = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    while (commands.readLine() != null) {
      long began = threads.getCurrentThreadCpuTime();
      long sum = 0;
      for (byte[] text : texts) {
        sum += reader.read(new String(text, StandardCharsets.UTF_8));
      }
      double seconds = (threads.getCurrentThreadCpuTime() - began) / 1e9;
      System.out.println("{\"texts\":" + texts.size() + ",\"seconds\":" + seconds + ",\"sum\":" + sum + "}");
      System.out.flush();
    }
  }
}
