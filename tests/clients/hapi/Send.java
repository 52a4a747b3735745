import ca.uhn.hl7v2.DefaultHapiContext;
import ca.uhn.hl7v2.HapiContext;
import ca.uhn.hl7v2.app.Connection;
import ca.uhn.hl7v2.app.Initiator;
import ca.uhn.hl7v2.model.Message;
import ca.uhn.hl7v2.parser.Parser;
import ca.uhn.hl7v2.util.Terser;
import ca.uhn.hl7v2.util.idgenerator.InMemoryIDGenerator;
import ca.uhn.hl7v2.validation.impl.ValidationContextFactory;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;

/**
 * HAPI's own initiator sends a file of MLLP-framed messages and waits for each answer.
 *
 * <p>Run: {@code java -cp 'libs/*' Send.java HOST PORT FILE}. The last line printed is JSON: sent, acks by code, seconds,
 * and how many acknowledgements named the message sent (MSA-2 is MSH-10). HAPI parses each message into its v2.3 model
 * and writes it anew, so what arrives is HAPI's wording of it. With {@code -Dmllp.tls=true} it speaks TLS by the JVM's
 * own key and trust stores.
 */
public final class Send {
  /** Seconds until an answer is given up; the service answers in milliseconds. */
  private static final int ANSWER_TIMEOUT_S = 30;

  private static final int PROGRESS_EVERY = 1000;

  public static void main(String[] arguments) throws Exception {
    String file = Files.readString(Path.of(arguments[2]), StandardCharsets.UTF_8);
    Map<String, Integer> acks = new TreeMap<>();
    int sent = 0;
    int matched = 0;
    long began = System.nanoTime();
    try (HapiContext context = new DefaultHapiContext()) {
      context.setValidationContext(ValidationContextFactory.noValidation());
      context.getParserConfiguration().setValidating(false);
      // Told nothing, HAPI keeps a counter in a file of the current folder.
      context.getParserConfiguration().setIdGenerator(new InMemoryIDGenerator());
      // Every vital-signs OBX of the simulated hospital has a value and an empty OBX-2; HAPI rejects that untold.
      context.getParserConfiguration().setDefaultObx2Type("ST");
      context.getParserConfiguration().setInvalidObx2Type("ST");
      Parser parser = context.getPipeParser();
      try (Connection connection = context.newClient(
          arguments[0], Integer.parseInt(arguments[1]), Boolean.getBoolean("mllp.tls"))) {
        Initiator initiator = connection.getInitiator();
        initiator.setTimeout(ANSWER_TIMEOUT_S, TimeUnit.SECONDS);
        for (String framed : file.split("\u001c\r")) {
          if (framed.indexOf('\u000b') < 0) {
            continue;
          }
          Message message = parser.parse(framed.substring(framed.indexOf('\u000b') + 1));
          Terser answer = new Terser(initiator.sendAndReceive(message));
          sent++;
          acks.merge(String.valueOf(answer.get("MSA-1")), 1, Integer::sum);
          if (new Terser(message).get("MSH-10").equals(answer.get("MSA-2"))) {
            matched++;
          }
          if (sent % PROGRESS_EVERY == 0) {
            System.err.println(sent + " sent");
          }
        }
      }
    }
    String codes =
        acks.entrySet().stream()
            .map(entry -> "\"" + entry.getKey() + "\": " + entry.getValue())
            .collect(Collectors.joining(", "));
    System.out.printf(
        java.util.Locale.ROOT,
        "{\"sent\": %d, \"acks\": {%s}, \"seconds\": %.3f, \"matched\": %d}%n",
        sent, codes, (System.nanoTime() - began) / 1e9, matched);
    System.exit(0);
  }
}
